/* The line between skiff and its agent inside a container (agent/): frames, and what they say. Used at both ends; without I/O and without memory of
 * its own, so that it can be tested and fuzzed alone. Each end takes the other's bytes as hostile: what is not clearly right is -EPROTO, and
 * ends the line.
 *
 * A frame, all numbers little-endian: u32 length of what follows, u8 type, u32 id of the request, then the type's fields in the order of the table in
 * wire.c. Each end sends a HELLO first, unasked; the version is the smaller of both ends' newest. Answers carry the id of their request and come
 * when they are known, not in the order of the questions. The agent stops reading while its answers are not read: skiff must
 * read whenever it waits to write.
 *
 * A batch is what lies between two COMMITs: WRITE, OPEN…CLOSE, MKDIR, SYMLINK, DELETE and CHMOD are staged as they arrive (nothing is seen of them),
 * and switched by COMMIT, deletes last. Each gets one RESULT: when it fails to be staged, else at the COMMIT, whose COMMITTED comes last.
 * The end of the line, ABORT or a failure with WIRE_STRICT leave everything as it was. All may be sent again after a broken line.
 *
 * A large file: OPEN, DATA…, CLOSE with the hash of the whole. With WIRE_DELTA the agent cuts the file that is there into chunks
 * (wire/chunk.h): CHUNKS lists the next ones of the new file, HAVE answers a bit for each (1: the agent has it), and the DATA that
 * follow are the missing ones, one each, in order; then the next CHUNKS, DATA or CLOSE. */
#ifndef WIRE_WIRE_H
#define WIRE_WIRE_H

#include "wire/hash.h"

enum {
	WIRE_VERSION = 1,     /* the newest that this end speaks */
	WIRE_VERSION_MIN = 1, /* the oldest */
	WIRE_MAGIC = 0x46494b53,

	WIRE_HEAD = 9,			 /* bytes before the fields */
	WIRE_PATH_MAX = 4095,		 /* bytes of a path or a link's target */
	WIRE_NAME_MAX = 255,		 /* of one element */
	WIRE_DATA_MAX = 256 << 10,	 /* of the data of a frame */
	WIRE_FRAME_MAX = 272 << 10,	 /* of a frame, length included */
	WIRE_CHUNKS_MAX = 4096,		 /* chunks in one CHUNKS */
	WIRE_CHUNK_SIZE = 12,		 /* bytes of each */
	WIRE_BATCH_MAX = 1 << 17,	 /* requests in a batch */
	WIRE_BATCH_BYTES_MAX = 32 << 20, /* of their paths and targets */
	WIRE_OPEN_MAX = 8,		 /* files between OPEN and CLOSE */
	WIRE_RUN_MAX = 8,		 /* programs at once */
	WIRE_STRINGS_MAX = 4096,	 /* arguments and variables of RUN */
	WIRE_HELLO_MAX = 256,		 /* bytes of a HELLO: newer ends may say more in it */
};

/* What the replaced file has, but for the bits that would give new content a user's rights, else 0644; a directory's, else 0755. */
#define WIRE_MODE_KEEP 0xffffffffU

enum wire_type {
	WIRE_HELLO =
		1, /* value: agent: enum wire_arch; skiff: seconds without a byte after which the agent ends, 0: never. The agent's: flags: what it can;
			  size: its process; hash: of its program, zero where it can't read it */

	/* To the agent. */
	WIRE_WRITE = 16, /* a whole file, of at most WIRE_DATA_MAX */
	WIRE_OPEN,	 /* a large one; size: about */
	WIRE_DATA,
	WIRE_CHUNKS,
	WIRE_CLOSE,   /* size and hash of all of it */
	WIRE_DROP,    /* the request of that id: not wanted any more; no RESULT for it */
	WIRE_MKDIR,   /* what stands there and is no directory goes away; a link to a directory is left */
	WIRE_SYMLINK, /* text: the target */
	WIRE_DELETE,  /* with all that is below; nothing there is success */
	WIRE_CHMOD,
	WIRE_COMMIT,
	WIRE_ABORT,
	WIRE_STAT, /* answered by STATE; between batches it also removes what an agent that was killed left beside the path. Not part of a
			batch, like all that follow */
	WIRE_CHECK, /* could a file be written there? RESULT */
	WIRE_READ,  /* CONTENT, or RESULT where it fails; value: at most so many bytes, else EFBIG */
	WIRE_RUN, /* text: working directory, "" as it is; value arguments and count variables in data, each ended by a zero */
	WIRE_KILL,	/* value: the signal, to the program of the RUN of that id */
	WIRE_SUPERVISE, /* value: 0 restart, else a signal; to the program under `agent supervise`. RESULT */
	WIRE_PING,

	/* From the agent. */
	WIRE_RESULT =
		64, /* value: errno, 0 good; reason; kind and hash found there (EEXIST, ENOENT: not what was expected), else the
			     hash written; mode, uid, gid: of the directory, where it failed */
	WIRE_HAVE,	/* data: a bit for each chunk, the first in the lowest */
	WIRE_COMMITTED, /* value: the first errno; count: how many failed */
	WIRE_STATE,	/* value: errno; mtime in ns since 1970; hash: content or target */
	WIRE_CONTENT,
	WIRE_OUTPUT, /* value: 1 stdout, 2 stderr */
	WIRE_EXIT,   /* value: status, 128 + n for a signal; reason, errno in count: it did not start */
	WIRE_PONG,   /* also unasked, id 0, where a request takes long: a sign of life each second */
	WIRE_BYE,    /* the agent ends; value: errno, text: why */
};

enum wire_flag {
	WIRE_OWNER =
		1
		<< 0, /* uid and gid count; else what is replaced keeps its owner, and what is new takes its directory's */
	WIRE_OWNER_IF_NEW = 1 << 1,  /* they count for what is new only */
	WIRE_EXPECT = 1 << 2,	     /* fails unless what is there has the hash `expected`, or already the new one */
	WIRE_EXPECT_NONE = 1 << 3,   /* fails unless nothing is there, or already the same */
	WIRE_DELTA = 1 << 4,	     /* OPEN: CHUNKS will be asked */
	WIRE_STRICT = 1 << 5,	     /* COMMIT: all or nothing of it */
	WIRE_NO_CONTENT = 1 << 6,    /* STAT: no hash */
	WIRE_AS_USER = 1 << 7,	     /* RUN: as uid and gid */
	WIRE_ATOMIC = 1 << 8,	     /* no reader saw half of it */
	WIRE_OWNER_REFUSED = 1 << 9, /* the agent may not give it away: it is the agent's */
	WIRE_MAIN = 1 << 10,	     /* SUPERVISE: to process 1, whoever that is */

	/* Capabilities, in the agent's HELLO. */
	WIRE_CAN_PROC = 1 << 16, /* /proc is there */
	WIRE_CAN_LOCK = 1 << 17, /* no second agent runs here */
};

enum wire_reason {
	WIRE_REASON_NONE,
	WIRE_REASON_READ_ONLY, /* the file system is */
	WIRE_REASON_MOUNT,     /* a mount of its own, which can't be replaced or removed */
	WIRE_REASON_BUSY,
	WIRE_REASON_DIRECTORY, /* it may not be written by the agent's user */
	WIRE_REASON_SPACE,     /* none left, or no inodes, or a quota */
	WIRE_REASON_EXPECTED,  /* something else is there */
	WIRE_REASON_DAMAGED,   /* what arrived has another hash */
	WIRE_REASON_LIMIT,     /* of this protocol */
	WIRE_REASON_CANCELLED, /* another one of the batch failed */
	WIRE_REASON_OTHER,
};

enum wire_kind { WIRE_ABSENT, WIRE_FILE, WIRE_DIRECTORY, WIRE_LINK, WIRE_OTHER };

enum wire_arch { WIRE_ARCH_OTHER, WIRE_ARCH_X86_64, WIRE_ARCH_AARCH64 };

struct wire_bytes { /* borrowed */
	const void *data;
	size_t len;
};

struct wire_message { /* the fields of all types; a type's own are in the table of wire.c, the others are zero */
	uint8_t type;
	uint32_t id;
	uint32_t flags; /* enum wire_flag */
	uint32_t mode;	/* permission bits, WIRE_MODE_KEEP where the agent is told */
	uint32_t uid, gid;
	uint32_t value, count, reason, kind;
	uint64_t size, mtime;
	struct wire_hash hash, expected;
	uint16_t version_min, version; /* of a HELLO */
	struct wire_bytes path;	       /* absolute, normalised, not "/" */
	struct wire_bytes text;	       /* without a NUL */
	struct wire_bytes data;
};

/* Which end sent it. */
enum wire_side { WIRE_FROM_SKIFF, WIRE_FROM_AGENT };

/* Everything of the frame but its data: those follow as they are (writev). The bytes written, or -EINVAL (a field that does not fit its
 * type), -ENOBUFS. At most WIRE_FRAME_MAX - WIRE_DATA_MAX. */
int wire_encode_head(const struct wire_message *message, void *buffer, size_t cap);

/* All of the frame. */
int wire_encode(const struct wire_message *message, void *buffer, size_t cap);

/* One end's incoming bytes. */
struct wire_input {
	unsigned char *buffer;
	size_t cap, start, end;
	enum wire_side from;
	bool greeted; /* the HELLO was there */
};

/* buffer: the caller's, at least WIRE_FRAME_MAX; twice that saves moving bytes. */
void wire_input_init(struct wire_input *input, void *buffer, size_t cap, enum wire_side from);

/* Where to read the next bytes to: at least one. Messages that were handed out are no longer valid. */
void *wire_input_space(struct wire_input *input, size_t *len);
void wire_input_filled(struct wire_input *input, size_t len);

/* 1: a message, its pointers into the buffer; 0: more bytes are needed; -EPROTO: not our protocol, the line is to be closed. A HELLO of
 * versions that we don't speak is -EPROTONOSUPPORT. */
int wire_input_next(struct wire_input *input, struct wire_message *message);

/* The version that both speak, or -EPROTONOSUPPORT. */
int wire_agree(uint16_t version_min, uint16_t version);

/* Chunks in the data of CHUNKS. */
struct wire_chunk {
	uint64_t hash; /* wire_hash64 */
	uint32_t len;
};
void wire_chunk_put(void *data, size_t index, struct wire_chunk chunk);
struct wire_chunk wire_chunk_get(const void *data, size_t index);

static inline bool wire_bit(const void *data, size_t index)
{
	return ((const unsigned char *)data)[index / 8] >> (index % 8) & 1;
}

/* True for a path that may be written: absolute, normalised, not "/", no NUL, within WIRE_PATH_MAX and WIRE_NAME_MAX. */
bool wire_path_valid(const char *path, size_t len);

#endif
