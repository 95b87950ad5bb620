/* SPDX-License-Identifier: MIT */
#include "signaling/sig-wire.h"
