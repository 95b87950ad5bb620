/* SPDX-License-Identifier: MIT */
#include "agent/net/nat-certificate.h"

const char *
nat_certificate_problem(GTlsCertificateFlags flags)
{
	if (flags & G_TLS_CERTIFICATE_UNKNOWN_CA)
		return "its certificate is signed by nobody this host trusts";
	if (flags & G_TLS_CERTIFICATE_BAD_IDENTITY)
		return "its certificate is for another name";
	if (flags & (G_TLS_CERTIFICATE_EXPIRED | G_TLS_CERTIFICATE_NOT_ACTIVATED))
		return "its certificate is expired or not yet valid (or this host's clock is "
		       "wrong)";
	return "its certificate is not acceptable";
}
