#include "runtime/carry.h"

#include <errno.h>
#include <string.h>

#include "base/path.h"
#include "base/vec.h"

const char carry_delete_script[] =
	"for p; do p=$(printf '%b.' \"$p\"); rm -rf -- \"${p%.}\" || s=1; done; exit ${s:-0}";

int carry_check(const struct carry *carry, struct error *err)
{
	for (size_t i = 0; i < carry->len; i++)
		if (!path_is_safe_destination(carry->items[i].dest))
			return error_set(err, EINVAL, "not a destination: %s", carry->items[i].dest);
	return 0;
}

int carry_report_failure(const struct carry_report *report, struct error *err)
{
	for (size_t i = 0; i < report->len; i++)
		if (report->results[i].code)
			return error_set(err, report->results[i].code, "%s", report->results[i].message);
	return 0;
}

int carry_meant(const char *words, int otherwise)
{
	static const struct {
		const char *words;
		int code;
	} meanings[] = {
		{"no space left on device", ENOSPC},
		{"read-only", EROFS},
		{"permission denied", EACCES},
		{"operation not permitted", EPERM},
		{"not a directory", ENOTDIR},
		{"device or resource busy", EBUSY},
		{"is paused", EBUSY},
		{"file name too long", ENAMETOOLONG},
	};
	for (size_t i = 0; words && i < ARRAY_LEN(meanings); i++)
		if (strcasestr(words, meanings[i].words))
			return meanings[i].code;
	return otherwise;
}

void held_file_free(struct held_file *held)
{
	if (held)
		free(held->bytes);
	free(held);
}

void carry_release(struct carry *carry)
{
	for vec_each (item, carry) {
		free(item->dest);
		free(item->src);
		free(item->owner);
	}
	vec_release(carry);
}

void carry_report_release(struct carry_report *report)
{
	for (size_t i = 0; i < report->len; i++)
		free(report->results[i].message);
	free(report->results);
	free(report->note);
	*report = (struct carry_report){0};
}

void instances_release(struct instances *instances)
{
	for vec_each (instance, instances) {
		free(instance->id);
		free(instance->name);
		free(instance->image);
		free(instance->base_id);
		free(instance->started);
	}
	vec_release(instances);
	free(steal(&instances->problem));
}

void attach_queries_release(struct attach_queries *queries)
{
	for vec_each (query, queries) {
		free(query->image);
		strv_release(&query->labels);
		free(query->one_project);
	}
	vec_release(queries);
}
