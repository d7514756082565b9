#include "base/vec.h"
#include "runtime/runtime.h"

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
