#include <string.h>

#include "base/file.h"
#include "base/path.h"
#include "dev/lane.h"
#include "dev/verify.h"
#include "watch/watch.h"

enum { PATHS_TOLD = 100 }; /* an event names at most so many paths; `files` has the whole count */

double elapsed_ms(uint64_t since_ns)
{
	return since_ns ? (double)(monotonic_ns() - since_ns) / 1e6 : 0;
}

static double between_ms(uint64_t from, uint64_t to)
{
	return from && to > from ? (double)(to - from) / 1e6 : 0;
}

static void tell(struct dev *dev, enum event_type type, json_t *fields)
{
	dev_happened(dev);
	event_emit(dev->bus, type, fields);
}

void tell_change(struct dev *dev, const struct change_set *changes)
{
	_cleanup_free_ char *cwd = path_absolute(".");
	json_t *paths = json_array();
	for (size_t i = 0; i < changes->len && i < PATHS_TOLD; i++) {
		const char *below = path_below(changes->items[i].path, cwd);
		json_array_append_new(paths, json_pack("{s:o, s:s}", "path",
						       event_text(below ? below : changes->items[i].path), "kind",
						       change_kind_name(changes->items[i].kind)));
	}
	tell(dev, EVENT_CHANGE, json_pack("{s:I, s:o}", "files", (json_int_t)changes->len, "paths", paths));
}

void tell_decision(const struct lane *lane, const struct decision *d)
{
	json_t *deciding = json_null();
	if (d->deciding_path || d->deciding_where)
		deciding = json_pack("{s:o, s:o}", "path", event_text(d->deciding_path), "where",
				     event_text(d->deciding_where));
	tell(lane->dev, EVENT_DECISION,
	     json_pack("{s:o, s:s, s:o, s:o}", "image", event_text(lane->artifact->image.value), "decision",
		       decision_kind_name(d->kind), "reason", event_text(d->reason), "deciding", deciding));
}

static json_t *build_fields(const struct lane *lane, const char *status, double ms)
{
	json_t *fields = json_pack("{s:o, s:s, s:o, s:o}", "image", event_text(lane->artifact->image.value), "status",
				   status, "tag", event_text(lane->tag), "reason", event_text(lane->build_reason));
	if (ms >= 0)
		json_object_set_new(fields, "ms", json_real(ms));
	return fields;
}

void tell_build(const struct lane *lane, const char *status, double ms)
{
	tell(lane->dev, EVENT_BUILD, build_fields(lane, status, ms));
}

void tell_build_failed(const struct lane *lane, const char *message, const struct build_result *result)
{
	json_t *fields = build_fields(lane, "failed", elapsed_ms(lane->build_started_ns));
	json_object_set_new(fields, "message", event_text(message));
	json_object_set_new(fields, "explained", json_boolean(result->explained));
	json_object_set_new(fields, "output", event_text(str_text(&result->log)));
	json_object_set_new(fields, "running", json_boolean(lane->deployed_id != NULL));
	tell(lane->dev, EVENT_BUILD, fields);
}

static json_t *ports_json(const struct published_ports *ports, const char *image)
{
	json_t *list = json_array();
	for vec_each (port, ports)
		if (!image || str_equal(port->image, image))
			json_array_append_new(list, json_pack("{s:o, s:o, s:i, s:i}", "image", event_text(port->image),
							      "address", event_text(port->address), "local",
							      (int)port->local, "container", (int)port->container));
	return list;
}

void tell_deploy(const struct lane *lane, const char *status, double ms, const struct published_ports *ports)
{
	json_t *fields = json_pack("{s:o, s:s, s:o}", "image", event_text(lane->artifact->image.value), "status",
				   status, "reason", event_text(lane->build_reason));
	if (ms >= 0)
		json_object_set_new(fields, "ms", json_real(ms));
	if (ports)
		json_object_set_new(fields, "ports", ports_json(ports, lane->artifact->image.value));
	tell(lane->dev, EVENT_DEPLOY, fields);
}

void tell_adopted(const struct lane *lane, const struct adopted_told *told, const struct published_ports *ports)
{
	tell(lane->dev, EVENT_DEPLOY,
	     json_pack("{s:o, s:s, s:I, s:I, s:o}", "image", event_text(lane->artifact->image.value), "status",
		       "adopted", "age_s", (json_int_t)told->age_s, "changed", (json_int_t)told->changed, "ports",
		       ports_json(ports, lane->artifact->image.value)));
}

void tell_instance(const struct lane_instance *instance, const char *status)
{
	json_t *fields = json_pack("{s:o, s:o, s:s}", "image", event_text(instance->lane->artifact->image.value),
				   "instance", event_text(instance->info.name), "status", status);
	if (!instance->info.running)
		json_object_set_new(fields, "code", json_integer(instance->info.exit_code));
	tell(instance->lane->dev, EVENT_INSTANCE, fields);
}

void tell_error(struct dev *dev, const char *image, const char *about, const char *message)
{
	tell(dev, EVENT_ERROR,
	     json_pack("{s:o, s:s, s:o}", "image", event_text(image), "about", about, "message", event_text(message)));
}

void tell_warning(struct dev *dev, const char *message)
{
	tell(dev, EVENT_WARNING, json_pack("{s:o}", "message", event_text(message)));
}

void tell_ready(struct dev *dev)
{
	json_t *urls = json_array();
	for vec_each (port, &dev->ports) {
		_cleanup_free_ char *url =
			xasprintf("http://%s:%u",
				  str_equal(port->address, "127.0.0.1") || str_equal(port->address, "0.0.0.0")
					  ? "localhost"
					  : port->address,
				  port->local);
		json_array_append_new(urls, json_string(url));
	}
	tell(dev, EVENT_READY,
	     json_pack("{s:I, s:o, s:o, s:s, s:i}", "files", (json_int_t)watch_file_count(dev->watch), "urls", urls,
		       "ports", ports_json(&dev->ports, NULL), "runtime", dev->runtime->ops->name, "artifacts",
		       (int)dev->lanes.len));
}

void tell_idle(struct dev *dev)
{
	int errors = 0;
	for vec_each (lane, &dev->lanes)
		errors += (*lane)->error || (*lane)->rebuild_due;
	struct verified verified = {0};
	verified_of(dev, &verified);
	json_t *drift = json_array();
	for (size_t i = 0; i < verified.drift.len && i < PATHS_TOLD; i++)
		json_array_append_new(drift, event_text(verified.drift.items[i]));
	event_emit(dev->bus, EVENT_IDLE,
		   json_pack("{s:i, s:o, s:I}", "errors", errors, "drift", drift, "verified",
			     (json_int_t)verified.equal));
	strv_release(&verified.drift);
}

static json_t *words(const struct strv *command)
{
	json_t *list = json_array();
	for (size_t i = 0; i < command->len; i++)
		json_array_append_new(list, event_text(command->items[i]));
	return list;
}

void tell_generate(const struct lane *lane, const struct generate_told *told)
{
	json_t *fields = json_pack("{s:o, s:o, s:o, s:s, s:o}", "image", event_text(lane->artifact->image.value),
				   "command", words(told->command), "name", event_text(told->name), "status",
				   told->status, "reason", event_text(told->reason));
	if (told->ms >= 0)
		json_object_set_new(fields, "ms", json_real(told->ms));
	if (told->outputs >= 0)
		json_object_set_new(fields, "outputs", json_integer(told->outputs));
	if (told->background)
		json_object_set_new(fields, "background", json_true());
	if (told->message)
		json_object_set_new(fields, "message", event_text(told->message));
	if (told->output)
		json_object_set_new(fields, "output", event_text(told->output));
	tell(lane->dev, EVENT_GENERATE, fields);
}

static json_t *carried_paths(const struct lane *lane, const struct carry *carry)
{
	json_t *paths = json_array();
	for (size_t i = 0; i < carry->len && i < PATHS_TOLD; i++) {
		const struct carry_item *item = &carry->items[i];
		const struct owned *owned = map_get(&lane->owned, item->dest);
		const char *src = !owned || !owned->generated ? item->src : owned->origin; /* not the kept copy */
		const char *below = src ? path_below(src, lane->artifact->context) : NULL;
		json_array_append_new(paths, json_pack("{s:o, s:o}", "src", event_text(below ? below : src), "dest",
						       event_text(item->dest)));
	}
	return paths;
}

void tell_sync(const struct lane_instance *instance, const struct carry *carry, const struct carry_report *report,
	       const char *status, const struct sync_story *t, const char *message)
{
	uint64_t now = monotonic_ns();
	json_t *ms = json_pack("{s:f, s:f, s:f, s:f, s:f}", "detect", between_ms(t->first_event_ns, t->planned_ns),
			       "plan", between_ms(t->planned_ns, t->decided_ns), "generate", t->generate_us / 1e3,
			       "transfer", t->transfer_us / 1e3, "total",
			       between_ms(t->first_event_ns ? t->first_event_ns : t->decided_ns, now));
	json_t *fields = json_pack("{s:o, s:o, s:I, s:I, s:s, s:b, s:o, s:o}", "image",
				   event_text(instance->lane->artifact->image.value), "instance",
				   event_text(instance->info.name), "files", (json_int_t)carry->len, "bytes",
				   (json_int_t)report->bytes, "status", status, "atomic", report->atomic, "ms", ms,
				   "paths", carried_paths(instance->lane, carry));
	if (t->command)
		json_object_set_new(fields, "generated",
				    json_pack("{s:o, s:o, s:o}", "path", event_text(t->path), "command",
					      words(t->command), "name", event_text(t->name)));
	if (instance->lane->artifact->restart != RESTART_NONE)
		json_object_set_new(fields, "restart",
				    json_string(instance->lane->artifact->restart == RESTART_SIGNAL ? "signal"
												    : "container"));
	if (message)
		json_object_set_new(fields, "message", event_text(message));
	tell(instance->lane->dev, EVENT_SYNC, fields);
}
