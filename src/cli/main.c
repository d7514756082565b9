#include <stdio.h>

int main(void)
{
	printf("skiff " SKIFF_VERSION "\n");
	return 0;
}
