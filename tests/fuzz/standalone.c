/* Runs a fuzzer over its kept corpus, without libFuzzer: one TAP result a file, so that what was once found stays found. Each
 * input is handed over in memory of exactly its size: AddressSanitizer sees a read past its end. */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>

#include "base/file.h"
#include "base/path.h"

#define INPUT_MAX (16u << 20)

static bool run_file(const char *directory, const char *name)
{
	_cleanup_free_ char *path = path_join(directory, name);
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	if (file_read(path, INPUT_MAX, &text, &len, NULL) < 0)
		return false;
	_cleanup_free_ uint8_t *exact = xmemdup(text, len);
	LLVMFuzzerTestOneInput(exact, len);
	return true;
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: %s CORPUS\n", argv[0]);
		return 2;
	}
	struct dirent **names;
	int count = scandir(argv[1], &names, NULL, alphasort);
	if (count < 0) {
		perror(argv[1]);
		return 2;
	}
	int run = 0, failed = 0;
	for (int i = 0; i < count; i++) {
		if (names[i]->d_name[0] != '.') {
			bool read = run_file(argv[1], names[i]->d_name);
			failed += !read;
			printf("%sok %d - %s\n", read ? "" : "not ", ++run, names[i]->d_name);
			fflush(stdout);
		}
		free(names[i]);
	}
	free(names);
	printf("1..%d\n", run);
	return run == 0 || failed > 0;
}
