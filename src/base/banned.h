/* Functions that do not compile here, each with what to use instead. Every source file is compiled with this header in
 * front (meson: -include). Pattern: git's banned.h. */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SKIFF_BANNED(func) sorry_##func##_is_a_banned_function

#undef strcpy /* str_add, xstrdup */
#define strcpy(x, y) SKIFF_BANNED(strcpy)
#undef strcat /* str_add */
#define strcat(x, y) SKIFF_BANNED(strcat)
#undef strncpy /* str_add_bytes */
#define strncpy(x, y, n) SKIFF_BANNED(strncpy)
#undef strncat /* str_add_bytes */
#define strncat(x, y, n) SKIFF_BANNED(strncat)
#undef strtok /* str_split */
#define strtok(x, y) SKIFF_BANNED(strtok)
#undef sprintf /* snprintf, xasprintf, str_addf */
#define sprintf(...) SKIFF_BANNED(sprintf)
#undef vsprintf
#define vsprintf(...) SKIFF_BANNED(vsprintf)
#undef gets
#define gets(x) SKIFF_BANNED(gets)
#undef atoi /* parse_uint */
#define atoi(x) SKIFF_BANNED(atoi)
#undef atol
#define atol(x) SKIFF_BANNED(atol)
#undef gmtime /* gmtime_r: threads */
#define gmtime(t) SKIFF_BANNED(gmtime)
#undef localtime
#define localtime(t) SKIFF_BANNED(localtime)
#undef ctime
#define ctime(t) SKIFF_BANNED(ctime)
#undef asctime
#define asctime(t) SKIFF_BANNED(asctime)
#undef mktemp
#define mktemp(x) SKIFF_BANNED(mktemp)

#endif
