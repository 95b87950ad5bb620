/* SPDX-License-Identifier: MIT */
/* innernet's files, and their change: what was a file stays one that says the same. */
#include <stdlib.h>
#include <string.h>

#include "agent/innernet/inn-conf.h"
#include "agent/innernet/inn-toml.h"
#include "tests/fuzz/fuzz-check.h"

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size);

static gboolean
same(const InnConf *a, const InnConf *b)
{
	return strcmp(a->network_name, b->network_name) == 0 &&
	       wg_endpoint_equal(&a->address, &b->address) && a->prefix == b->prefix &&
	       wg_key_equal(&a->private_key, &b->private_key) && a->listen_port == b->listen_port &&
	       wg_key_equal(&a->server_key, &b->server_key) &&
	       strcmp(a->server_host, b->server_host) == 0 && a->server_port == b->server_port &&
	       wg_endpoint_equal(&a->server_internal, &b->server_internal);
}

static void
reads_as(const char *text, const InnConf *conf)
{
	g_autoptr(InnConf) again = inn_conf_parse(text, strlen(text), "f", NULL);

	if (!again || !same(conf, again))
		abort();
}

static void
try_override(const char *text, gsize size, const InnConf *conf)
{
	InnOverride overrides[3] = {0};
	g_autofree char *out = NULL, *again = NULL;
	GError *error = NULL;

	wg_endpoint_parse_address("10.66.1.2", 0, &overrides[0].address);
	wg_endpoint_parse("203.0.113.77:7", &overrides[0].endpoint);
	wg_endpoint_parse_address("10.66.1.3", 0, &overrides[1].address);
	wg_endpoint_parse_address("fd00::2", 0, &overrides[2].address);
	wg_endpoint_parse("[2001:db8::1]:9", &overrides[2].endpoint);
	out = inn_conf_override(text, size, "f", overrides, G_N_ELEMENTS(overrides), &error);
	check(out != NULL, error);
	if (!out)
		return;
	reads_as(out, conf);
	again = inn_conf_override(out, strlen(out), "f", overrides, G_N_ELEMENTS(overrides), NULL);
	if (!again || strcmp(out, again) != 0)
		abort();
}

/* Offsets lie in the text and in order. */
static void
try_toml(const char *text, gsize size)
{
	GError *error = NULL;
	g_autoptr(InnToml) toml = inn_toml_parse(text, size, &error);
	gsize from = 0;

	check(toml != NULL, error);
	for (guint i = 0; toml && i < toml->entries->len; i++) {
		const InnTomlEntry *e = &g_array_index(toml->entries, InnTomlEntry, i);

		if (e->line_start < from || e->value <= e->line_start || e->value_end <= e->value ||
		    e->end < e->value_end || e->end > size)
			abort();
		from = e->end;
	}
}

int
LLVMFuzzerTestOneInput(const guint8 *data, size_t size)
{
	const char *text = (const char *)data;
	GError *error = NULL;
	g_autoptr(InnConf) conf = inn_conf_parse(text, size, "f", &error);
	g_autofree char *formatted = NULL;

	check(conf != NULL, error);
	try_toml(text, size);
	if (!conf)
		return 0;
	formatted = inn_conf_format(conf);
	reads_as(formatted, conf);
	try_override(text, size, conf);
	return 0;
}
