/* SPDX-License-Identifier: MIT */
#include "agent/innernet/inn-link.h"
gboolean
inn_link_up(const char *ifname, const InnLinkParams *params, gboolean *made, GError **error)
{
	return TRUE;
}
gboolean
inn_link_down(const char *ifname, GError **error)
{
	return TRUE;
}
