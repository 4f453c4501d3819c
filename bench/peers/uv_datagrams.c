/* uv_datagrams.c - datagrams.c for libuv: sent at once, from one buffer for all; what cannot be
 * sent is dropped, as the network would. */
#include <uv.h>

#include "../bench.h"

static void get_shared_buffer(uv_handle_t *socket, size_t suggested, uv_buf_t *data)
{
    static char shared[64 * 1024];

    (void)socket, (void)suggested;
    *data = uv_buf_init(shared, sizeof shared);
}

static void received(uv_udp_t *socket, ssize_t n, const uv_buf_t *data, const struct sockaddr *from,
                     unsigned flags)
{
    (void)flags;
    if (n > 0) {
        uv_buf_t answer = uv_buf_init(data->base, (unsigned)n);
        uv_udp_try_send(socket, &answer, 1, from);
    } else if (n < 0 || from != NULL) { /* not the end of a burst, but empty */
        uv_close((uv_handle_t *)socket, NULL);
    }
}

int main(void)
{
    struct sockaddr_in address;
    int size = sizeof address;
    uv_udp_t socket;

    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_udp_init(uv_default_loop(), &socket);
    bench_require(uv_udp_bind(&socket, (struct sockaddr *)&address, 0) == 0, "uv_udp_bind");
    uv_udp_getsockname(&socket, (struct sockaddr *)&address, &size);
    printf("port %d\n", ntohs(address.sin_port));
    fflush(stdout);
    uv_udp_recv_start(&socket, get_shared_buffer, received);
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
