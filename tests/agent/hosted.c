/* For the agent built with sanitizers: it allocates nothing, and where /proc is missing the search for leaks would fail. */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}
