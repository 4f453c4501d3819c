/* consumer.c - a program outside of this tree, as its users write them. */
#include <asyncio.h>
#include <stdio.h>
#include <string.h>

static int body(void *arg)
{
    int r = asyncio_sleep(0.001);
    *(int *)arg = 42;
    return r;
}

int main(void)
{
    int answer = 0;
    int r = asyncio_run(body, &answer);

    if (strcmp(asyncio_version(), ASYNCIO_VERSION) != 0)
        r = -EINVAL;
    printf("%s: %d, %s\n", asyncio_version(), answer, r < 0 ? asyncio_strerror(r) : "ok");
    return r == 0 && answer == 42 ? 0 : 1;
}
