/* SPDX-License-Identifier: MIT */
#include "signaling/sig-wheel.h"

#define SLOTS 64

struct SigWheel {
	guint64 now;
	SigTimer slots[SLOTS]; /* heads of circular lists */
	SigTimer due;	       /* those of the tick that is being served */
};

static void
list_init(SigTimer *head)
{
	head->prev = head->next = head;
}

static void
list_append(SigTimer *head, SigTimer *timer)
{
	timer->prev = head->prev;
	timer->next = head;
	head->prev->next = timer;
	head->prev = timer;
}

SigWheel *
sig_wheel_new(void)
{
	SigWheel *wheel = g_new0(SigWheel, 1);

	for (guint i = 0; i < SLOTS; i++)
		list_init(&wheel->slots[i]);
	list_init(&wheel->due);
	return wheel;
}

void
sig_wheel_free(SigWheel *wheel)
{
	g_free(wheel);
}

void
sig_wheel_set(SigWheel *wheel, SigTimer *timer, guint ticks)
{
	sig_wheel_cancel(timer);
	timer->due = wheel->now + MAX(ticks, 1);
	list_append(&wheel->slots[timer->due % SLOTS], timer);
}

void
sig_wheel_cancel(SigTimer *timer)
{
	if (!timer->next)
		return;
	timer->prev->next = timer->next;
	timer->next->prev = timer->prev;
	timer->prev = timer->next = NULL;
}

/* Due timers move to a list of their own first: func may cancel the next one or fill the slot. */
void
sig_wheel_tick(SigWheel *wheel, SigWheelFunc func, gpointer user_data)
{
	SigTimer *head = &wheel->slots[++wheel->now % SLOTS], *next;

	for (SigTimer *timer = head->next; timer != head; timer = next) {
		next = timer->next;
		if (timer->due > wheel->now)
			continue; /* in a later round */
		sig_wheel_cancel(timer);
		list_append(&wheel->due, timer);
	}
	while (wheel->due.next != &wheel->due) {
		SigTimer *timer = wheel->due.next;

		sig_wheel_cancel(timer);
		func(timer, user_data);
	}
}
