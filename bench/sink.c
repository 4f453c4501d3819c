/* sink.c - takes what a program sends to BENCH_PORT, and throws it away.
 *
 *     sink COMMAND...
 *
 * The program runs on the first processor, this on the second.
 */
#include "server.h"

int main(int argc, char **argv)
{
    static char data[1024 * 1024];
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof address;
    char port[16];
    int status = 1;

    bench_require(argc > 1, "a command");
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bench_require(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 &&
                      listen(listener, 1) == 0,
                  "a listener");
    getsockname(listener, (struct sockaddr *)&address, &size);
    snprintf(port, sizeof port, "%d", ntohs(address.sin_port));
    setenv("BENCH_PORT", port, 1);
    pid_t pid = fork();
    if (pid == 0) {
        stay_on(0);
        execvp(argv[1], argv + 1);
        _exit(127);
    }
    stay_on(1);
    int fd = accept(listener, NULL, NULL);
    while (read(fd, data, sizeof data) > 0)
        continue;
    waitpid(pid, &status, 0);
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}
