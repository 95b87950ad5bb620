/* SPDX-License-Identifier: MIT */
/* nat-signald's configuration file: a result or an error, and what was accepted is within its
 * bounds. */
#include <stdlib.h>

#include "signaling/sig-config.h"

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size);

int
LLVMFuzzerTestOneInput(const guint8 *data, size_t size)
{
	const SigArgs none = {0};
	GError *error = NULL;
	SigConfig *config = sig_config_parse((const char *)data, size, "file", &none, &error);

	if ((config == NULL) != (error != NULL))
		abort();
	g_clear_error(&error);
	if (!config)
		return 0;
	if (!config->tls_cert != !config->tls_key || (config->allow_file && config->allow_wg) ||
	    config->limits.connections == 0 || config->limits.queue < 32768 ||
	    config->listen->len == 0 || config->turn_ttl == 0)
		abort();
	sig_config_free(config);
	return 0;
}
