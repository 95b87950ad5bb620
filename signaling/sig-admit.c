/* SPDX-License-Identifier: MIT */
/*
 * A file is read when inotify says that it was closed after writing or moved into place, never
 * while somebody writes it: half a list would throw people out. Where inotify cannot tell (a link
 * whose target changes, a network's file system) its time stamp does, once it has rested. One that
 * can't be read when it has changed (moved into place before its mode is right) is tried again
 * until it can be: who was taken off it must not stay in because of that.
 *
 * A device tells nobody of its changes: it is read once a second, more seldom when that takes long,
 * and at once when a key knocks that is not known. What cannot be read leaves the last list in
 * force.
 */
#include "signaling/sig-admit.h"

#include <errno.h>
#include <gio/gio.h>
#include <sodium.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "signaling/sig-allow-wg.h"
#include "wgctl/wg-ctl.h"

#define FILE_MAX (64 << 20)
#define RESTED_TICKS 2
#define READ_SHARE 10 /* of the time at most a tenth passes while the device is being read */
#define KNOCK_PAUSE_US (200 * 1000)
#define DIGEST_LEN 32

typedef struct {
	gint64 mtime_ns, ctime_ns; /* of the second: the mode too */
	guint64 size, inode;
} Stamp;

/* What the pool's thread works on; it outlives a SigAdmit that is freed meanwhile. */
typedef struct {
	uv_work_t work;
	SigAdmit *admit; /* NULL: nobody waits any more */
	char *ifname;
	WgDevice *device;
	GError *error;
	gint64 began_us;
} Reading;

struct SigAdmit {
	uv_loop_t *loop;
	void (*changed)(gpointer user_data);
	gpointer user_data;
	/* a file */
	char *file, *basename;
	SigMembers *members;
	uv_poll_t *watch; /* of an inotify descriptor; NULL: there is none */
	int inotify_fd;
	Stamp stamp, seen; /* of what was read; as last seen */
	guint rested;	   /* ticks since `seen` changed */
	gboolean unread;   /* the last time it could not be read, and this was said */
	/* a device */
	char *ifname;
	SigAllowWg *peers; /* NULL: not read yet */
	guint8 digest[DIGEST_LEN];
	Reading *reading;
	gint64 next_us;
	gboolean warned;
};

/* ---- a file ---- */

static gint64
ns_of(const struct timespec *time)
{
	return time->tv_sec * G_GINT64_CONSTANT(1000000000) + time->tv_nsec;
}

static gboolean
stamp_file(const char *file, Stamp *out)
{
	struct stat st;

	if (stat(file, &st) < 0)
		return FALSE;
	out->mtime_ns = ns_of(&st.st_mtim);
	out->ctime_ns = ns_of(&st.st_ctim);
	out->size = (guint64)st.st_size;
	out->inode = st.st_ino;
	return TRUE;
}

static gboolean
same_stamp(const Stamp *a, const Stamp *b)
{
	return a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns && a->size == b->size &&
	       a->inode == b->inode;
}

static gboolean
read_text(const char *file, char **text, gsize *len, GError **error)
{
	struct stat st;

	if (stat(file, &st) == 0 && (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX)) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
			    "%s: not a list of keys: must be a file of at most 64 MB", file);
		return FALSE;
	}
	return g_file_get_contents(file, text, len, error);
}

static gboolean
load(SigAdmit *admit, GError **error)
{
	g_autofree char *text = NULL;
	SigMembers *members;
	gsize len;

	if (stamp_file(admit->file, &admit->stamp))
		admit->seen = admit->stamp;
	admit->unread = !read_text(admit->file, &text, &len, error);
	if (admit->unread)
		return FALSE;
	members = sig_members_parse(text, len, admit->file, error);
	if (!members)
		return FALSE;
	g_clear_pointer(&admit->members, sig_members_free);
	admit->members = members;
	return TRUE;
}

static void
read_anew(SigAdmit *admit)
{
	g_autoptr(GError) error = NULL;
	gboolean said = admit->unread;

	if (!load(admit, &error)) {
		if (!admit->unread)
			g_warning("%s; the list as it was stays in force", error->message);
		else if (!said)
			g_warning("%s; the list as it was stays in force until it can be read",
				  error->message);
		return;
	}
	g_message("%s: %u keys in %u networks", admit->file, sig_members_n_keys(admit->members),
		  sig_members_n_networks(admit->members));
	admit->changed(admit->user_data);
}

void
sig_admit_reload(SigAdmit *admit)
{
	if (!admit->file)
		return;
	admit->unread = FALSE; /* somebody waits for a word */
	read_anew(admit);
}

static void
on_inotify(uv_poll_t *poll, int status, int events)
{
	SigAdmit *admit = poll->data;
	char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	gboolean ours = FALSE;
	ssize_t n;

	while ((n = read(admit->inotify_fd, buf, sizeof buf)) > 0)
		for (char *p = buf; p < buf + n;) {
			const struct inotify_event *event = (struct inotify_event *)p;

			ours |= (event->mask & IN_Q_OVERFLOW) != 0 ||
				(event->len > 0 && g_str_equal(event->name, admit->basename));
			p += sizeof *event + event->len;
		}
	if (ours)
		sig_admit_reload(admit);
}

/* Without it the time stamp alone tells. */
static void
watch_file(SigAdmit *admit)
{
	g_autofree char *dir = g_path_get_dirname(admit->file);

	admit->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (admit->inotify_fd < 0 ||
	    inotify_add_watch(admit->inotify_fd, dir, IN_CLOSE_WRITE | IN_MOVED_TO) < 0)
		return;
	admit->watch = g_new0(uv_poll_t, 1);
	uv_poll_init(admit->loop, admit->watch, admit->inotify_fd);
	admit->watch->data = admit;
	uv_poll_start(admit->watch, UV_READABLE, on_inotify);
}

static void
tick_file(SigAdmit *admit)
{
	Stamp now;

	if (!stamp_file(admit->file, &now))
		return;
	admit->rested = same_stamp(&now, &admit->seen) ? admit->rested + 1 : 0;
	admit->seen = now;
	if (admit->rested >= RESTED_TICKS && (admit->unread || !same_stamp(&now, &admit->stamp)))
		read_anew(admit);
}

static gboolean
open_file(SigAdmit *admit, const char *file, GError **error)
{
	admit->file = g_strdup(file);
	admit->basename = g_path_get_basename(file);
	watch_file(admit);
	if (!load(admit, error))
		return FALSE;
	if (sig_members_n_keys(admit->members) == 0)
		g_warning("%s: holds no key: nobody may log in", file);
	return TRUE;
}

/* ---- a device ---- */

static void
read_device(uv_work_t *work)
{
	Reading *reading = work->data;
	g_autoptr(WgCtl) ctl = wg_ctl_new(reading->ifname);

	reading->device = wg_ctl_read(ctl, &reading->error);
}

/* What counts of the device: an order of its own is the kernel's. */
static void
digest_device(const WgDevice *device, guint8 out[DIGEST_LEN])
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, NULL, 0, DIGEST_LEN);
	crypto_generichash_update(&state, device->public_key.b, WG_KEY_LEN);
	for (guint i = 0; i < device->peers->len; i++) {
		const WgPeer *peer = device->peers->pdata[i];
		guint32 n = peer->allowed_ips->len;

		crypto_generichash_update(&state, peer->public_key.b, WG_KEY_LEN);
		crypto_generichash_update(&state, (guint8 *)&n, sizeof n);
		for (guint j = 0; j < n; j++) {
			const WgAllowedIp *ip = &g_array_index(peer->allowed_ips, WgAllowedIp, j);
			guint8 head[2] = {(guint8)ip->family, ip->cidr};

			crypto_generichash_update(&state, head, sizeof head);
			crypto_generichash_update(&state, ip->addr, ip->family == AF_INET ? 4 : 16);
		}
	}
	crypto_generichash_final(&state, out, DIGEST_LEN);
}

static void
take_device(SigAdmit *admit, const WgDevice *device)
{
	guint8 digest[DIGEST_LEN];

	admit->warned = FALSE;
	digest_device(device, digest);
	if (admit->peers && memcmp(digest, admit->digest, DIGEST_LEN) == 0)
		return;
	memcpy(admit->digest, digest, DIGEST_LEN);
	g_clear_pointer(&admit->peers, sig_allow_wg_free);
	admit->peers = sig_allow_wg_new(device);
	g_message("%s: its %u peers may log in", admit->ifname, sig_allow_wg_n_peers(admit->peers));
	admit->changed(admit->user_data);
}

static void
device_read(uv_work_t *work, int status)
{
	Reading *reading = work->data;
	SigAdmit *admit = reading->admit;
	gint64 now = g_get_monotonic_time();

	if (admit) {
		admit->reading = NULL;
		admit->next_us = now + MAX((now - reading->began_us) * READ_SHARE, KNOCK_PAUSE_US);
		if (reading->device) {
			take_device(admit, reading->device);
		} else if (!admit->warned && reading->error) {
			admit->warned = TRUE;
			g_warning("%s; %s", reading->error->message,
				  admit->peers ? "its peers as they were stay in force"
					       : "nobody may log in until it can be read");
		}
	}
	g_clear_pointer(&reading->device, wg_device_free);
	g_clear_error(&reading->error);
	g_free(reading->ifname);
	g_free(reading);
}

static void
begin_reading(SigAdmit *admit)
{
	Reading *reading;

	if (admit->reading || g_get_monotonic_time() < admit->next_us)
		return;
	reading = admit->reading = g_new0(Reading, 1);
	reading->work.data = reading;
	reading->admit = admit;
	reading->ifname = g_strdup(admit->ifname);
	reading->began_us = g_get_monotonic_time();
	uv_queue_work(admit->loop, &reading->work, read_device, device_read);
}

/* The first time at once: what can't be repaired by waiting ends the start. */
static gboolean
open_device(SigAdmit *admit, const char *ifname, GError **error)
{
	g_autoptr(WgCtl) ctl = wg_ctl_new(ifname);
	g_autoptr(WgDevice) device = NULL;
	g_autoptr(GError) local = NULL;

	admit->ifname = g_strdup(ifname);
	device = wg_ctl_read(ctl, &local);
	if (device) {
		take_device(admit, device);
		return TRUE;
	}
	if (g_error_matches(local, WG_ERROR, WG_ERROR_NO_DEVICE) ||
	    g_error_matches(local, WG_ERROR, WG_ERROR_NOT_WIREGUARD)) {
		g_warning("%s; nobody may log in until it is there", local->message);
		admit->warned = TRUE;
		return TRUE;
	}
	g_propagate_error(error, g_steal_pointer(&local));
	return FALSE;
}

/* ---- both ---- */

SigAdmit *
sig_admit_new(uv_loop_t *loop, const SigConfig *config, void (*changed)(gpointer user_data),
	      gpointer user_data, GError **error)
{
	g_autoptr(SigAdmit) admit = g_new0(SigAdmit, 1);

	admit->loop = loop;
	admit->changed = changed;
	admit->user_data = user_data;
	admit->inotify_fd = -1;
	if ((config->allow_file && !open_file(admit, config->allow_file, error)) ||
	    (config->allow_wg && !open_device(admit, config->allow_wg, error)))
		return NULL;
	return g_steal_pointer(&admit);
}

void
sig_admit_free(SigAdmit *admit)
{
	if (admit->watch) {
		uv_poll_stop(admit->watch);
		uv_close((uv_handle_t *)admit->watch, (uv_close_cb)g_free);
	}
	if (admit->inotify_fd >= 0)
		close(admit->inotify_fd);
	if (admit->reading)
		admit->reading->admit = NULL;
	g_clear_pointer(&admit->members, sig_members_free);
	g_clear_pointer(&admit->peers, sig_allow_wg_free);
	g_free(admit->file);
	g_free(admit->basename);
	g_free(admit->ifname);
	g_free(admit);
}

void
sig_admit_tick(SigAdmit *admit)
{
	if (admit->file)
		tick_file(admit);
	if (admit->ifname)
		begin_reading(admit);
}

static gboolean
check_device(SigAdmit *admit, const WgKey *key, const WgEndpoint *address, gboolean from_here,
	     const char **why)
{
	if (admit->peers && sig_allow_wg_check(admit->peers, key, address, from_here))
		return TRUE;
	if (admit->peers && sig_allow_wg_knows(admit->peers, key)) {
		*why = "this key may log in through its WireGuard tunnel to this server only, "
		       "from its own addresses there";
	} else {
		*why = "this key is no peer of this server's WireGuard interface";
		begin_reading(admit); /* it may have become one just now */
	}
	return FALSE;
}

gboolean
sig_admit_check(SigAdmit *admit, const WgKey *key, const WgEndpoint *address, gboolean from_here,
		const SigScope **scope, const char **why)
{
	*scope = NULL;
	if (admit->ifname)
		return check_device(admit, key, address, from_here, why);
	if (!admit->members)
		return TRUE;
	*scope = sig_members_find(admit->members, key);
	*why = "this key is not on this server's list";
	return *scope != NULL;
}

guint
sig_admit_n_keys(const SigAdmit *admit)
{
	if (admit->ifname)
		return admit->peers ? sig_allow_wg_n_peers(admit->peers) : 0;
	return admit->members ? sig_members_n_keys(admit->members) : G_MAXUINT;
}

char *
sig_admit_describe(const SigAdmit *admit)
{
	if (admit->ifname)
		return g_strdup_printf("the peers of %s", admit->ifname);
	if (admit->members)
		return g_strdup_printf("%u keys of %s", sig_members_n_keys(admit->members),
				       admit->file);
	return g_strdup("any key");
}
