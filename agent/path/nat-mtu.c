/* SPDX-License-Identifier: MIT */
#include "agent/path/nat-mtu.h"

#include <string.h>
#include <sys/socket.h>

#define MS ((gint64)1000)
#define SEC ((gint64)G_USEC_PER_SEC)
/* RFC 8899 §5.1.1: PMTU_RAISE_TIMER. */
#define RAISE_US (600 * SEC)
#define SUSPECT_US (10 * SEC)
#define SILENT_US (30 * SEC)
/* RFC 8899 §5.1.1 wants 1 s and more for PROBE_TIMER where nothing is known of the path. Here the
 * round trip is measured by the small probes, which are few. */
#define TIMEOUT_FIRST_US SEC
#define TIMEOUT_MIN_US (300 * MS)
#define TIMEOUT_MAX_US (2 * SEC)
#define MISSES_MIN 3u /* RFC 8899 §5.1.2: MAX_PROBES */
#define MISSES_MAX 12u
#define WRONG 1e-3 /* chance that a size which passes is taken for too large */
#define SILENT_TRIES 6u
#define LATE_US (5 * SEC)
#define STEP 4u
#define RECENT 32u /* probes whose late answers still count */
#define LINK_MAX 1500u
#define BASE_V4 1200u /* RFC 8899 §5.1.2: BASE_PLPMTU; IPv6 promises its own */
#define BASE_V6 1280u
#define FLOOR 548u /* what every IPv4 host takes, 576 bytes, less 28 */
#define CHANNEL_DATA 4u

/* IP packets that links carry: IPv6's least, PPPoE and tunnels of several kinds, Ethernet. */
static const guint16 COMMON[] = {1280, 1400, 1420, 1440, 1454, 1460, 1480, 1492, 1500};

typedef struct {
	guint token; /* 0: free */
	guint size;
	gint64 sent_us;
} Probe;

struct NatMtu {
	guint headers; /* of IP, UDP and ChannelData */
	guint base, need, top;
	NatMtuFuncs funcs;
	gpointer user_data;
	NatMtuPhase phase;
	guint low;  /* the largest that passed; 0: none */
	guint high; /* the smallest that did not; top + STEP: none */
	guint result;

	/* the size under test: 0, none */
	guint testing;
	guint control;	 /* token of the last small probe; 0: answered, or none sent */
	gboolean counts; /* the last probe left, so that its silence says something */
	guint misses, silent;
	gint64 next_us, checked_us;

	/* of the path */
	guint controls, controls_lost;
	gint64 rtt_us; /* 0: unknown */
	guint last_token;
	Probe recent[RECENT];
};

static guint
wg_payload(guint wg_mtu)
{
	return (wg_mtu + NAT_MTU_WG_OVERHEAD + STEP - 1) / STEP * STEP;
}

void
nat_mtu_set_wg_mtu(NatMtu *mtu, guint wg_mtu)
{
	/* a tunnel over a larger link still is tested by what a receiver takes */
	mtu->need = wg_mtu == 0 ? mtu->top
				: CLAMP(wg_payload(MIN(wg_mtu, LINK_MAX)), mtu->base, mtu->top);
}

NatMtu *
nat_mtu_new(int family, gboolean relayed, guint wg_mtu, const NatMtuFuncs *funcs,
	    gpointer user_data)
{
	NatMtu *mtu = g_new0(NatMtu, 1);

	mtu->headers = (family == AF_INET ? 28 : 48) + (relayed ? CHANNEL_DATA : 0);
	mtu->base = (family == AF_INET ? BASE_V4 : BASE_V6) - mtu->headers;
	mtu->top = LINK_MAX - mtu->headers;
	mtu->funcs = *funcs;
	mtu->user_data = user_data;
	mtu->next_us = G_MAXINT64;
	nat_mtu_set_wg_mtu(mtu, wg_mtu);
	return mtu;
}

void
nat_mtu_free(NatMtu *mtu)
{
	g_free(mtu);
}

/* ---- which size next ---- */

static guint
common_payload(const NatMtu *mtu, gsize i)
{
	return (COMMON[i] - mtu->headers) / STEP * STEP;
}

/* The smallest common size above `size`, at least the smallest one; 0: none. */
static guint
next_common(const NatMtu *mtu, guint size)
{
	for (gsize i = 0; i < G_N_ELEMENTS(COMMON); i++)
		if (common_payload(mtu, i) > size)
			return common_payload(mtu, i);
	return 0;
}

static gboolean
is_common(const NatMtu *mtu, guint size)
{
	return next_common(mtu, size - STEP) == size;
}

/* A size that passes costs one round trip, one that does not several time-outs. So: what the tunnel
 * needs now; the most there is; then upwards along the common ones, each with the next larger size
 * to see whether it is the limit; in halves only between two of them. 0: the search is over. */
static guint
next_size(const NatMtu *mtu)
{
	guint common;

	if (mtu->low == 0) {
		if (mtu->high > mtu->base)
			return mtu->base;
		return mtu->high > FLOOR ? FLOOR : 0;
	}
	if (mtu->low < mtu->need && mtu->need < mtu->high)
		return mtu->need;
	if (mtu->low < mtu->top && mtu->high > mtu->top)
		return mtu->top;
	if (mtu->low + STEP >= mtu->high)
		return 0;
	if (is_common(mtu, mtu->low))
		return mtu->low + STEP;
	common = next_common(mtu, mtu->low);
	if (common != 0 && common < mtu->high)
		return common;
	return (mtu->low + mtu->high) / 2 / STEP * STEP;
}

/* ---- probes ---- */

static Probe *
find_probe(NatMtu *mtu, guint token)
{
	Probe *probe = &mtu->recent[token % RECENT];

	return token != 0 && probe->token == token ? probe : NULL;
}

/* Returns its token; 0: not sent, and *how says why. */
static guint
send_probe(NatMtu *mtu, guint size, gint64 now_us, NatMtuSend *how)
{
	guint token = ++mtu->last_token != 0 ? mtu->last_token : ++mtu->last_token;

	*how = mtu->funcs.send(size, token, mtu->user_data);
	if (*how != NAT_MTU_SENT)
		return 0;
	mtu->recent[token % RECENT] = (Probe){token, size, now_us};
	return token;
}

static gint64
timeout_us(const NatMtu *mtu)
{
	if (mtu->rtt_us == 0)
		return TIMEOUT_FIRST_US;
	return CLAMP(3 * mtu->rtt_us, TIMEOUT_MIN_US, TIMEOUT_MAX_US);
}

/* So many that chance alone makes them rarer than WRONG, by what the small probes suffer. */
static guint
misses_needed(const NatMtu *mtu)
{
	double loss = (mtu->controls_lost + 1.0) / (mtu->controls + 5.0), chance = 1;
	guint n = 0;

	while (n < MISSES_MIN || (chance > WRONG && n < MISSES_MAX)) {
		chance *= loss;
		n++;
	}
	return n;
}

static void choose(NatMtu *mtu, gint64 now_us);

static void
too_large(NatMtu *mtu, gint64 now_us)
{
	if (mtu->phase == NAT_MTU_CHECKING && mtu->testing <= mtu->low) {
		mtu->phase = NAT_MTU_SEARCHING; /* a black hole: RFC 8899 §4.3 */
		mtu->low = 0;
	}
	mtu->high = mtu->testing;
	choose(mtu, now_us);
}

static void
try_once(NatMtu *mtu, gint64 now_us)
{
	NatMtuSend how, how_small;

	mtu->next_us = now_us + (mtu->silent < SILENT_TRIES ? timeout_us(mtu) : SILENT_US);
	mtu->counts = FALSE;
	mtu->control = send_probe(mtu, 0, now_us, &how_small);
	send_probe(mtu, mtu->testing, now_us, &how);
	if (how == NAT_MTU_LINK_TOO_SMALL)
		too_large(mtu, now_us);
	else
		mtu->counts = how == NAT_MTU_SENT && mtu->control != 0;
}

static void
test(NatMtu *mtu, guint size, gint64 now_us)
{
	mtu->testing = size;
	mtu->misses = 0;
	mtu->silent = 0;
	try_once(mtu, now_us);
}

static void
settle(NatMtu *mtu, gint64 now_us)
{
	gboolean changed = mtu->result != mtu->low;

	mtu->phase = NAT_MTU_SETTLED;
	mtu->testing = 0;
	mtu->result = mtu->low;
	mtu->next_us = now_us + RAISE_US;
	mtu->checked_us = now_us;
	if (changed)
		mtu->funcs.changed(mtu->user_data);
}

/* After a verdict. While checking: first the size itself, then the next larger one. */
static void
choose(NatMtu *mtu, gint64 now_us)
{
	guint size = 0;

	if (mtu->phase == NAT_MTU_SEARCHING)
		size = next_size(mtu);
	else if (mtu->testing == mtu->low && mtu->low < mtu->top)
		size = mtu->low + STEP;
	if (size == 0)
		settle(mtu, now_us);
	else
		test(mtu, size, now_us);
}

/* Once per try. The small probe went ahead of the large one, whose answer would come after. */
static void
note_control(NatMtu *mtu)
{
	if (!mtu->counts)
		return;
	mtu->controls++;
	mtu->controls_lost += mtu->control != 0;
}

/* The time of the last try is over, and the size unanswered. */
static void
time_out(NatMtu *mtu, gint64 now_us)
{
	note_control(mtu);
	if (mtu->counts && mtu->control == 0) {
		mtu->silent = 0;
		if (++mtu->misses >= misses_needed(mtu)) {
			too_large(mtu, now_us);
			return;
		}
	} else {
		mtu->silent++;
	}
	try_once(mtu, now_us);
}

static void
check(NatMtu *mtu, gint64 now_us)
{
	mtu->checked_us = now_us;
	if (mtu->low == 0) {
		nat_mtu_start(mtu, now_us);
		return;
	}
	mtu->phase = NAT_MTU_CHECKING;
	test(mtu, mtu->low, now_us);
}

/* ---- events ---- */

void
nat_mtu_start(NatMtu *mtu, gint64 now_us)
{
	mtu->phase = NAT_MTU_SEARCHING;
	mtu->low = 0;
	mtu->high = mtu->top + STEP;
	mtu->result = 0;
	mtu->controls = mtu->controls_lost = 0;
	mtu->rtt_us = 0;
	memset(mtu->recent, 0, sizeof mtu->recent);
	mtu->testing = 0;
	choose(mtu, now_us);
}

void
nat_mtu_tick(NatMtu *mtu, gint64 now_us)
{
	if (now_us < mtu->next_us)
		return;
	switch (mtu->phase) {
	case NAT_MTU_IDLE:
		mtu->next_us = G_MAXINT64;
		break;
	case NAT_MTU_SEARCHING:
	case NAT_MTU_CHECKING:
		time_out(mtu, now_us);
		break;
	case NAT_MTU_SETTLED:
		check(mtu, now_us);
		break;
	}
}

static void
passed(NatMtu *mtu, guint size, gint64 now_us)
{
	gboolean wanted = mtu->testing != 0 && size >= mtu->testing;

	/* also what was held for too large: its answer was only late */
	if (size >= mtu->high)
		mtu->high = mtu->top + STEP;
	if (size > mtu->low && mtu->low != 0 && mtu->phase != NAT_MTU_SEARCHING) {
		mtu->phase = NAT_MTU_SEARCHING;
		mtu->high = mtu->top + STEP;
		wanted = TRUE;
	}
	mtu->low = MAX(mtu->low, size);
	if (wanted && mtu->testing != 0)
		note_control(mtu);
	if (wanted)
		choose(mtu, now_us);
}

void
nat_mtu_answered(NatMtu *mtu, guint token, gint64 now_us)
{
	Probe *probe = find_probe(mtu, token);
	gint64 rtt_us;
	guint size;

	if (!probe || mtu->phase == NAT_MTU_IDLE)
		return;
	rtt_us = MAX(now_us - probe->sent_us, 1);
	size = probe->size;
	probe->token = 0;
	if (rtt_us > LATE_US)
		return; /* it tells of a path that was */
	/* RFC 6298's smoothing; the first sample is taken whole */
	mtu->rtt_us = mtu->rtt_us == 0 ? rtt_us : (mtu->rtt_us * 7 + rtt_us) / 8;
	if (token == mtu->control)
		mtu->control = 0;
	if (size != 0)
		passed(mtu, size, now_us);
}

void
nat_mtu_suspect(NatMtu *mtu, gint64 now_us)
{
	if (mtu->phase == NAT_MTU_SETTLED && now_us - mtu->checked_us >= SUSPECT_US)
		check(mtu, now_us);
}

/* ---- what is known ---- */

gint64
nat_mtu_next_us(const NatMtu *mtu)
{
	return mtu->next_us;
}

NatMtuPhase
nat_mtu_phase(const NatMtu *mtu)
{
	return mtu->phase;
}

guint
nat_mtu_payload(const NatMtu *mtu)
{
	return mtu->result;
}

guint
nat_mtu_path(const NatMtu *mtu)
{
	return mtu->result == 0 ? 0 : mtu->result + mtu->headers;
}

guint
nat_mtu_wg(const NatMtu *mtu)
{
	return mtu->result == 0 ? 0 : mtu->result - NAT_MTU_WG_OVERHEAD;
}

gboolean
nat_mtu_is_capped(const NatMtu *mtu)
{
	return mtu->result != 0 && mtu->result == mtu->top;
}
