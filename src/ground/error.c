/* error.c - errors and their names.
 *
 * An error is one of enum asyncio_error or a negated errno.  The first are in a table with name and
 * description.  The C library has both for errno, where it is glibc, untranslated and to be asked
 * for by any thread; elsewhere strerror() may write over what it gave to another thread, so that
 * the table has those, too, that a program of sockets and files meets.  Every string lasts for
 * ever.
 */
#include <string.h>

#include "asyncio.h"

#if defined(__GLIBC__) && defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 32)
#define HAVE_ERRNO_NAMES
#endif
#endif

#define ERROR(code, description)                                                                   \
    {                                                                                              \
        (code), #code, (description)                                                               \
    }
#define NUMBER(code, description)                                                                  \
    {                                                                                              \
        -(code), #code, (description)                                                              \
    }

static const struct error_text {
    int error;
    const char *name, *description;
} texts[] = {
    ERROR(ASYNCIO_ESTATE, "Operation not possible in this state"),
    ERROR(ASYNCIO_ENOTASK, "Suspending call outside a task"),
    ERROR(ASYNCIO_ENOLOOP, "No running event loop"),
    ERROR(ASYNCIO_EWRONGLOOP, "Belongs to another event loop or thread"),
    ERROR(ASYNCIO_ECLOSED, "Closed"),
    ERROR(ASYNCIO_EINCOMPLETE, "Stream ended before all was read"),
    ERROR(ASYNCIO_ELIMIT, "Longer than the limit"),
    ERROR(ASYNCIO_ESHUTDOWN, "Queue was shut down"),
    ERROR(ASYNCIO_EBROKEN, "Barrier is broken"),
    ERROR(ASYNCIO_ENOSENDFILE, "Sendfile is not available for this file or connection"),
    ERROR(ASYNCIO_EEXIT, "Exit requested"),
    ERROR(ASYNCIO_ETLS, "TLS failed"),
    ERROR(ASYNCIO_ETLSVERIFY, "The peer's certificate is not to be trusted"),
    ERROR(ASYNCIO_EAI_AGAIN, "Temporary failure in name resolution"),
    ERROR(ASYNCIO_EAI_FAIL, "Permanent failure in name resolution"),
    ERROR(ASYNCIO_EAI_NONAME, "Unknown host, or it has no such address"),
    ERROR(ASYNCIO_EAI_SERVICE, "Unknown service"),
    ERROR(ASYNCIO_EAI_BADHINTS, "Family, type, protocol or flags do not fit together"),
    NUMBER(ENOTSUP, "Operation not supported"), /* glibc names it EOPNOTSUPP */
#if !defined(HAVE_ERRNO_NAMES)
    NUMBER(E2BIG, "Argument list too long"),
    NUMBER(EACCES, "Permission denied"),
    NUMBER(EADDRINUSE, "Address already in use"),
    NUMBER(EADDRNOTAVAIL, "Cannot assign requested address"),
    NUMBER(EAFNOSUPPORT, "Address family not supported by protocol"),
    NUMBER(EAGAIN, "Resource temporarily unavailable"),
    NUMBER(EALREADY, "Operation already in progress"),
    NUMBER(EBADF, "Bad file descriptor"),
    NUMBER(EBADMSG, "Bad message"),
    NUMBER(EBUSY, "Device or resource busy"),
    NUMBER(ECANCELED, "Operation canceled"),
    NUMBER(ECHILD, "No child processes"),
    NUMBER(ECONNABORTED, "Software caused connection abort"),
    NUMBER(ECONNREFUSED, "Connection refused"),
    NUMBER(ECONNRESET, "Connection reset by peer"),
    NUMBER(EDEADLK, "Resource deadlock avoided"),
    NUMBER(EDESTADDRREQ, "Destination address required"),
    NUMBER(EDOM, "Numerical argument out of domain"),
    NUMBER(EDQUOT, "Disk quota exceeded"),
    NUMBER(EEXIST, "File exists"),
    NUMBER(EFAULT, "Bad address"),
    NUMBER(EFBIG, "File too large"),
    NUMBER(EHOSTDOWN, "Host is down"),
    NUMBER(EHOSTUNREACH, "No route to host"),
    NUMBER(EIDRM, "Identifier removed"),
    NUMBER(EILSEQ, "Invalid or incomplete multibyte or wide character"),
    NUMBER(EINPROGRESS, "Operation now in progress"),
    NUMBER(EINTR, "Interrupted system call"),
    NUMBER(EINVAL, "Invalid argument"),
    NUMBER(EIO, "Input/output error"),
    NUMBER(EISCONN, "Transport endpoint is already connected"),
    NUMBER(EISDIR, "Is a directory"),
    NUMBER(ELOOP, "Too many levels of symbolic links"),
    NUMBER(EMFILE, "Too many open files"),
    NUMBER(EMLINK, "Too many links"),
    NUMBER(EMSGSIZE, "Message too long"),
    NUMBER(ENAMETOOLONG, "File name too long"),
    NUMBER(ENETDOWN, "Network is down"),
    NUMBER(ENETRESET, "Network dropped connection on reset"),
    NUMBER(ENETUNREACH, "Network is unreachable"),
    NUMBER(ENFILE, "Too many open files in system"),
    NUMBER(ENOBUFS, "No buffer space available"),
    NUMBER(ENODEV, "No such device"),
    NUMBER(ENOENT, "No such file or directory"),
    NUMBER(ENOEXEC, "Exec format error"),
    NUMBER(ENOLCK, "No locks available"),
    NUMBER(ENOLINK, "Link has been severed"),
    NUMBER(ENOMEM, "Cannot allocate memory"),
    NUMBER(ENOMSG, "No message of desired type"),
    NUMBER(ENOPROTOOPT, "Protocol not available"),
    NUMBER(ENOSPC, "No space left on device"),
    NUMBER(ENOSYS, "Function not implemented"),
    NUMBER(ENOTCONN, "Transport endpoint is not connected"),
    NUMBER(ENOTDIR, "Not a directory"),
    NUMBER(ENOTEMPTY, "Directory not empty"),
    NUMBER(ENOTRECOVERABLE, "State not recoverable"),
    NUMBER(ENOTSOCK, "Socket operation on non-socket"),
    NUMBER(ENOTTY, "Inappropriate ioctl for device"),
    NUMBER(ENXIO, "No such device or address"),
    NUMBER(EOVERFLOW, "Value too large for defined data type"),
    NUMBER(EOWNERDEAD, "Owner died"),
    NUMBER(EPERM, "Operation not permitted"),
    NUMBER(EPFNOSUPPORT, "Protocol family not supported"),
    NUMBER(EPIPE, "Broken pipe"),
    NUMBER(EPROTO, "Protocol error"),
    NUMBER(EPROTONOSUPPORT, "Protocol not supported"),
    NUMBER(EPROTOTYPE, "Protocol wrong type for socket"),
    NUMBER(ERANGE, "Numerical result out of range"),
    NUMBER(EROFS, "Read-only file system"),
    NUMBER(ESHUTDOWN, "Cannot send after transport endpoint shutdown"),
    NUMBER(ESOCKTNOSUPPORT, "Socket type not supported"),
    NUMBER(ESPIPE, "Illegal seek"),
    NUMBER(ESRCH, "No such process"),
    NUMBER(ESTALE, "Stale file handle"),
    NUMBER(ETIMEDOUT, "Connection timed out"),
    NUMBER(ETXTBSY, "Text file busy"),
    NUMBER(EXDEV, "Invalid cross-device link"),
#endif
};

static const char unknown[] = "Unknown error";

static const struct error_text *find_text(int error)
{
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (texts[i].error == error)
            return &texts[i];
    }
    return NULL;
}

#if defined(HAVE_ERRNO_NAMES)
typedef const char *errno_text(int number);

/* Not INT_MIN, which has no positive counterpart. */
static const char *from_library(errno_text *text, int error)
{
    return error < 0 && error >= -INT_MAX ? text(-error) : NULL;
}
#else
#define from_library(text, error) ((const char *)NULL)
#endif

const char *asyncio_strerror(int error)
{
    if (error == 0)
        return "Success";

    const struct error_text *text = find_text(error);
    const char *description =
        text != NULL ? text->description : from_library(strerrordesc_np, error);
    return description != NULL ? description : unknown;
}

const char *asyncio_error_name(int error)
{
    if (error == 0)
        return "Success";

    const struct error_text *text = find_text(error);
    const char *name = text != NULL ? text->name : from_library(strerrorname_np, error);
    return name != NULL ? name : unknown;
}

void asyncio_ignore(int result)
{
    (void)result;
}

const char *asyncio_version(void)
{
    return ASYNCIO_VERSION;
}
