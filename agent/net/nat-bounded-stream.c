/* SPDX-License-Identifier: MIT */
#include "agent/net/nat-bounded-stream.h"

#include <string.h>

#define PROTOCOL "nat-bounded"

/* ---- the count, a converter that changes nothing ---- */

#define NAT_TYPE_BOUND (nat_bound_get_type())
G_DECLARE_FINAL_TYPE(NatBound, nat_bound, NAT, BOUND, GObject)

struct _NatBound {
	GObject parent;
	gsize left;
};

static void nat_bound_converter_init(GConverterIface *iface);
G_DEFINE_FINAL_TYPE_WITH_CODE(NatBound, nat_bound, G_TYPE_OBJECT,
			      G_IMPLEMENT_INTERFACE(G_TYPE_CONVERTER, nat_bound_converter_init))

static GConverterResult
bound_convert(GConverter *converter, const void *in, gsize in_len, void *out, gsize out_len,
	      GConverterFlags flags, gsize *n_read, gsize *n_written, GError **error)
{
	NatBound *bound = NAT_BOUND(converter);
	gsize n = MIN(in_len, out_len);

	if (n == 0 && (flags & G_CONVERTER_INPUT_AT_END))
		return G_CONVERTER_FINISHED;
	if (n == 0) {
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_PARTIAL_INPUT, "nothing to read");
		return G_CONVERTER_ERROR;
	}
	if (n > bound->left) {
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_MESSAGE_TOO_LARGE,
				    "a message without end");
		return G_CONVERTER_ERROR;
	}
	bound->left -= n;
	memcpy(out, in, n);
	*n_read = *n_written = n;
	return n == in_len && (flags & G_CONVERTER_INPUT_AT_END) ? G_CONVERTER_FINISHED
								 : G_CONVERTER_CONVERTED;
}

static void
bound_reset(GConverter *converter)
{
}

static void
nat_bound_converter_init(GConverterIface *iface)
{
	iface->convert = bound_convert;
	iface->reset = bound_reset;
}

static void
nat_bound_class_init(NatBoundClass *klass)
{
}

static void
nat_bound_init(NatBound *bound)
{
	bound->left = NAT_BOUNDED_STREAM_MAX;
}

/* ---- the stream ---- */

struct _NatBoundedStream {
	GIOStream parent;
	NatBound *bound;
	GInputStream *input;
	GIOStream *base;
};

G_DEFINE_FINAL_TYPE(NatBoundedStream, nat_bounded_stream, G_TYPE_IO_STREAM)

static GInputStream *
stream_input(GIOStream *stream)
{
	return NAT_BOUNDED_STREAM(stream)->input;
}

static GOutputStream *
stream_output(GIOStream *stream)
{
	return g_io_stream_get_output_stream(NAT_BOUNDED_STREAM(stream)->base);
}

static void
stream_finalize(GObject *object)
{
	NatBoundedStream *stream = NAT_BOUNDED_STREAM(object);

	g_object_unref(stream->input);
	g_object_unref(stream->bound);
	g_object_unref(stream->base);
	G_OBJECT_CLASS(nat_bounded_stream_parent_class)->finalize(object);
}

static void
nat_bounded_stream_class_init(NatBoundedStreamClass *klass)
{
	G_OBJECT_CLASS(klass)->finalize = stream_finalize;
	G_IO_STREAM_CLASS(klass)->get_input_stream = stream_input;
	G_IO_STREAM_CLASS(klass)->get_output_stream = stream_output;
}

static void
nat_bounded_stream_init(NatBoundedStream *stream)
{
}

static GIOStream *
stream_new(GIOStream *base)
{
	NatBoundedStream *stream = g_object_new(NAT_TYPE_BOUNDED_STREAM, NULL);

	stream->base = g_object_ref(base);
	stream->bound = g_object_new(NAT_TYPE_BOUND, NULL);
	stream->input = g_converter_input_stream_new(g_io_stream_get_input_stream(base),
						     G_CONVERTER(stream->bound));
	return G_IO_STREAM(stream);
}

void
nat_bounded_stream_allow(NatBoundedStream *stream, gsize bytes)
{
	gsize room = NAT_BOUNDED_STREAM_MAX - stream->bound->left;

	stream->bound->left += MIN(bytes, room);
}

/* ---- the proxy that is none ---- */

#define NAT_TYPE_BOUNDED_PROXY (nat_bounded_proxy_get_type())
G_DECLARE_FINAL_TYPE(NatBoundedProxy, nat_bounded_proxy, NAT, BOUNDED_PROXY, GObject)

struct _NatBoundedProxy {
	GObject parent;
};

static void nat_bounded_proxy_iface_init(GProxyInterface *iface);
G_DEFINE_FINAL_TYPE_WITH_CODE(NatBoundedProxy, nat_bounded_proxy, G_TYPE_OBJECT,
			      G_IMPLEMENT_INTERFACE(G_TYPE_PROXY, nat_bounded_proxy_iface_init))

static GIOStream *
proxy_connect(GProxy *proxy, GIOStream *connection, GProxyAddress *address,
	      GCancellable *cancellable, GError **error)
{
	return stream_new(connection);
}

static void
proxy_connect_async(GProxy *proxy, GIOStream *connection, GProxyAddress *address,
		    GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
	g_autoptr(GTask) task = g_task_new(proxy, cancellable, callback, user_data);

	g_task_return_pointer(task, stream_new(connection), g_object_unref);
}

static GIOStream *
proxy_connect_finish(GProxy *proxy, GAsyncResult *result, GError **error)
{
	return g_task_propagate_pointer(G_TASK(result), error);
}

static gboolean
proxy_supports_hostname(GProxy *proxy)
{
	return FALSE;
}

static void
nat_bounded_proxy_iface_init(GProxyInterface *iface)
{
	iface->connect = proxy_connect;
	iface->connect_async = proxy_connect_async;
	iface->connect_finish = proxy_connect_finish;
	iface->supports_hostname = proxy_supports_hostname;
}

static void
nat_bounded_proxy_class_init(NatBoundedProxyClass *klass)
{
}

static void
nat_bounded_proxy_init(NatBoundedProxy *proxy)
{
}

/* Asking also makes GIO register its extension points. */
static void
ensure_proxy(void)
{
	g_autoptr(GProxy) proxy = g_proxy_get_default_for_protocol(PROTOCOL);

	if (!proxy)
		g_io_extension_point_implement(G_PROXY_EXTENSION_POINT_NAME, NAT_TYPE_BOUNDED_PROXY,
					       PROTOCOL, 0);
}

GSocketAddress *
nat_bounded_address_new(GInetSocketAddress *address)
{
	GInetAddress *ip = g_inet_socket_address_get_address(address);
	g_autofree char *host = g_inet_address_to_string(ip);
	guint port = g_inet_socket_address_get_port(address);
	guint scope = g_inet_address_get_family(ip) == G_SOCKET_FAMILY_IPV6
			      ? g_inet_socket_address_get_scope_id(address)
			      : 0;

	ensure_proxy();
	return g_object_new(G_TYPE_PROXY_ADDRESS, "address", ip, "port", port, "scope-id", scope,
			    "protocol", PROTOCOL, "destination-hostname", host, "destination-port",
			    port, NULL);
}
