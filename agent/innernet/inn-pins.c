/* SPDX-License-Identifier: MIT */
#include "agent/innernet/inn-pins.h"

#include <sys/stat.h>

#include "agent/base/nat-log.h"

/* Which version of the file is known. */
typedef struct {
	gboolean there;
	ino_t inode;
	off_t size;
	gint64 changed_s, changed_ns;
} Version;

struct InnPins {
	char *ifname, *path;
	gboolean owns;
	InnState *store; /* NULL: it can't be read */
	Version version;
	char *problem;
};

static Version
version_of(const char *path)
{
	Version version = {0};
	struct stat st;

	if (stat(path, &st) != 0)
		return version;
	version.there = TRUE;
	version.inode = st.st_ino;
	version.size = st.st_size;
	version.changed_s = st.st_mtim.tv_sec;
	version.changed_ns = st.st_mtim.tv_nsec;
	return version;
}

static gboolean
same_version(const Version *a, const Version *b)
{
	return a->there == b->there && a->inode == b->inode && a->size == b->size &&
	       a->changed_s == b->changed_s && a->changed_ns == b->changed_ns;
}

static void
load(InnPins *pins)
{
	g_autoptr(GError) error = NULL;

	pins->version = version_of(pins->path);
	inn_state_free(pins->store);
	pins->store = inn_store_load(pins->path, &error);
	if (pins->store == NULL)
		g_warning(
			"%s: innernet's store can't be read: %s: keys are not checked against it, "
			"and it is left as it is",
			pins->ifname, error->message);
}

InnPins *
inn_pins_new(const char *ifname, const char *path, gboolean owns)
{
	InnPins *pins = g_new0(InnPins, 1);

	pins->ifname = g_strdup(ifname);
	pins->path = g_strdup(path);
	pins->owns = owns;
	load(pins);
	return pins;
}

void
inn_pins_free(InnPins *pins)
{
	if (pins == NULL)
		return;
	inn_state_free(pins->store);
	g_free(pins->ifname);
	g_free(pins->path);
	g_free(pins->problem);
	g_free(pins);
}

InnState *
inn_pins_remembered(const InnPins *pins)
{
	g_autoptr(InnState) state = NULL;

	if (pins->store == NULL)
		return NULL;
	state = inn_store_members(pins->store);
	return state->peers->len > 0 ? g_steal_pointer(&state) : NULL;
}

static char *
describe(const InnPins *pins, const InnPeer *peer, guint others)
{
	g_autofree char *name = nat_log_escape(peer->name, -1), *more = NULL;
	char address[WG_ENDPOINT_STRLEN], key[WG_KEY_STRLEN];

	if (others > 0)
		more = g_strdup_printf(", and %u more like that", others);
	return g_strdup_printf(
		"the server gives another key (%s) to %s (%s), whose address belongs to the key it "
		"had first: refused%s; if the peer was made anew, remove its entry from %s",
		wg_key_format(&peer->public_key, key), name,
		wg_endpoint_format_address(&peer->address, address), more ? more : "", pins->path);
}

/* A line for all of them: a server may do so with thousands, at each reading. */
static void
say_refused(InnPins *pins, const GPtrArray *refused)
{
	g_autofree char *text = NULL;

	if (refused->len > 0)
		text = describe(pins, g_ptr_array_index(refused, 0), refused->len - 1);
	if (text != NULL && g_strcmp0(pins->problem, text) != 0)
		g_warning("%s: innernet: %s", pins->ifname, text);
	g_free(pins->problem);
	pins->problem = g_steal_pointer(&text);
}

static void
save(InnPins *pins)
{
	g_autoptr(GError) error = NULL;

	if (inn_store_save(pins->store, pins->path, &error))
		pins->version = version_of(pins->path);
	else
		g_warning("%s: innernet's store: %s", pins->ifname, error->message);
}

void
inn_pins_apply(InnPins *pins, InnState *state)
{
	Version now = version_of(pins->path);
	g_autoptr(GPtrArray) refused = NULL;

	if (!same_version(&now, &pins->version))
		load(pins);
	if (pins->store == NULL)
		return;
	refused = inn_state_pin(state, pins->store);
	say_refused(pins, refused);
	inn_store_update(pins->store, state);
	if (pins->owns)
		save(pins);
}

const char *
inn_pins_problem(const InnPins *pins)
{
	return pins->problem;
}
