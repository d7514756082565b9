/* A journal file: refused, or what it says can be written and read again to the same. Lengths and hashes of its lines are put right first, else
 * nothing behind them would be reached: the input is lines, each a length of two bytes and its content. */
#include "fuzz.h"

#include <string.h>

#include "base/hash.h"
#include "sync/bytes.h"
#include "sync/journal.h"

static void build(const uint8_t *data, size_t size, struct str *file)
{
	struct cursor c = {.at = data, .end = data + size};
	str_add(file, "skiff journal 1\n");
	while (c.end - c.at > 2) {
		size_t len = (size_t)bytes_get(&c, 2);
		if (len > (size_t)(c.end - c.at))
			len = (size_t)(c.end - c.at);
		bytes_put(file, len, 4);
		bytes_put(file, len ^ 0x5ca1ab1e, 4);
		str_add_bytes(file, c.at, len);
		bytes_put(file, hash64(c.at, len), 8);
		c.at += len;
	}
}

static void write_again(const struct journal_state *state, struct journal *journal)
{
	journal_put_image(journal, state->base_id);
	for map_each (entry, &state->owned)
		journal_put_owned(journal, entry->key, entry->value);
	for map_each (entry, &state->seen)
		journal_put_seen(journal, entry->key, entry->value);
	if (state->next_id)
		journal_put_next(journal, state->next_id);
}

static void check(const void *bytes, size_t len)
{
	struct journal_state state = {0}, second = {0};
	if (journal_decode(bytes, len, &state, NULL) < 0)
		return;
	struct journal *journal = journal_new("fuzz");
	write_again(&state, journal);
	const struct str *again = journal_waiting(journal);
	if (journal_decode(again->data, again->len, &second, NULL) < 0 || state.owned.len != second.owned.len ||
	    state.seen.len != second.seen.len || !str_equal(state.next_id, second.next_id))
		__builtin_trap();
	journal_close(journal);
	journal_state_release(&state);
	journal_state_release(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(str_release) struct str file = {0};
	build(data, size, &file);
	check(file.data, file.len);
	check(data, size); /* as it is */
	return 0;
}
