/* SPDX-License-Identifier: MIT */
/*
 * InnPins: the store of innernet's client in use: which key an address in the tunnel belongs to for
 * ever, and who was in the network when it was last read. It is written only where the interface is
 * ours. Others write it too (innernet's own commands, a user who removes an entry): what the file
 * says now is what counts. Host thread only.
 */
#pragma once

#include "agent/innernet/inn-state.h"

typedef struct InnPins InnPins;

/* A store that can't be read is left as it is, with one warning; keys are not checked until it can
 * be. */
InnPins *inn_pins_new(const char *ifname, const char *path, gboolean owns);
void inn_pins_free(InnPins *pins);
/* The network as it was; NULL: nothing is known. (transfer full) */
InnState *inn_pins_remembered(const InnPins *pins);
/* A reading of the server: each of its records becomes the pinned key's, or is left out. */
void inn_pins_apply(InnPins *pins, InnState *state);
/* One line, escaped: a key was refused in the last reading; NULL: none was. */
const char *inn_pins_problem(const InnPins *pins);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(InnPins, inn_pins_free)
