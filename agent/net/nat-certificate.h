/* SPDX-License-Identifier: MIT */
/* Why a server's certificate is not accepted, in words. Pure; any thread. */
#pragma once

#include <gio/gio.h>

/* One line, static; what weighs most where several things are wrong. */
const char *nat_certificate_problem(GTlsCertificateFlags flags);
