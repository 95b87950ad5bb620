/* SPDX-License-Identifier: MIT */
/*
 * NatProm: writes text in the format of Prometheus, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). Pure. Whatever it is given, the
 * text is well-formed: label values are escaped, a series that is there already is left out, and so
 * is a value that is no number.
 */
#pragma once

#include "agent/base/nat-histogram.h"

#define NAT_PROM_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

typedef struct NatProm NatProm;

NatProm *nat_prom_new(void);
/* The text (transfer full); frees the writer. */
char *nat_prom_finish(NatProm *prom);
/* What the next series belong to; each family once. type: "counter", "gauge", "histogram"; help:
 * one sentence. They are the program's own words, and not escaped. */
void nat_prom_family(NatProm *prom, const char *name, const char *type, const char *help);
/* One series of the family: pairs of label and value, ended by NULL. Values must be UTF-8. */
void nat_prom_count(NatProm *prom, guint64 value, ...) G_GNUC_NULL_TERMINATED;
void nat_prom_gauge(NatProm *prom, double value, ...) G_GNUC_NULL_TERMINATED;
/* All series of a histogram; `label` must not be "le". */
void nat_prom_histogram(NatProm *prom, const NatHistogram *histogram, const char *label,
			const char *value);
