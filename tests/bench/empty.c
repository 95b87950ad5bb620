/* SPDX-License-Identifier: MIT */
/*
 * empty: linked with all that nat-agent is linked with, and does nothing: the memory that the
 * libraries take before anybody has called them. Waits to be killed.
 */
#include <unistd.h>

int
main(void)
{
	for (;;)
		pause();
}
