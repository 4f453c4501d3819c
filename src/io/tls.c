/* tls.c - TLS as tasks see it. */
#include "core/tls_engine.h"
#include "task/task.h"

void asyncio_tls_set_detail_(const char *text)
{
    task_set_detail("%s", text);
}
