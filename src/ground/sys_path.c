/* sys_path.c - names in the file system. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ground/fault.h"
#include "ground/memory.h"
#include "ground/sys.h"

int sys_socket_file(const char *path, struct sys_file_id *id)
{
    struct stat status;

    if (fault_fails())
        return -ENOMEM;
    if (lstat(path, &status) < 0)
        return -errno;
    memory_was_written(&status, sizeof status);
    if (!S_ISSOCK(status.st_mode))
        return 0;
    *id = (struct sys_file_id){ status.st_dev, status.st_ino };
    return 1;
}

int sys_unlink(const char *path)
{
    if (fault_fails())
        return -ENOMEM;
    return unlink(path) < 0 ? -errno : 0;
}
