/* failure.c - what OpenSSL says went wrong, as one of our errors and a sentence.
 *
 * It lays a failure down as a trace, the innermost first: that one is the sentence, unless it is
 * only the note that a certificate was refused, of which verification.c knows more.  The code is
 * that of the most telling of them: no memory, a system call, a certificate, anything else.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <stdarg.h>
#include <stdio.h>

#include "tls/tls.h"

enum { TEXT_MAX = 1024 };

void failure_say(char **text, const char *format, ...)
{
    char said[TEXT_MAX];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(said, sizeof said, format, arguments); /* cut off is good enough */
    va_end(arguments);
    OPENSSL_free(*text);
    ERR_set_mark();
    *text = OPENSSL_strdup(said);
    ERR_pop_to_mark(); /* that there was no memory for the text is not what failed */
}

static int code_of(unsigned long error)
{
    if (ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE)
        return -ENOMEM;
    if (ERR_SYSTEM_ERROR(error))
        return -ERR_GET_REASON(error);
    if (ERR_GET_LIB(error) == ERR_LIB_SSL &&
        ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED)
        return ASYNCIO_ETLSVERIFY;
    return ASYNCIO_ETLS;
}

/* How telling a code is; 0: there is none yet. */
static int rank(int code)
{
    switch (code) {
    case 0: return 0;
    case ASYNCIO_ETLS: return 1;
    case ASYNCIO_ETLSVERIFY: return 2;
    case -ENOMEM: return 4;
    default: return 3;
    }
}

static void say_error(char **text, unsigned long error, const char *data)
{
    const char *reason = ERR_SYSTEM_ERROR(error) ? asyncio_strerror(-ERR_GET_REASON(error))
                                                 : ERR_reason_error_string(error);

    if (reason == NULL)
        reason = "unknown error";
    if (data != NULL && *data != '\0')
        failure_say(text, "%s (%s)", reason, data);
    else
        failure_say(text, "%s", reason);
}

int failure_take(char **text)
{
    const char *data;
    unsigned long error;
    int flags, result = 0;
    bool said = false;

    while ((error = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0) {
        int code = code_of(error);

        if (code != ASYNCIO_ETLSVERIFY && !said) {
            say_error(text, error, (flags & ERR_TXT_STRING) != 0 ? data : NULL);
            said = true;
        }
        if (rank(code) > rank(result))
            result = code;
    }
    return result != 0 ? result : -ENOMEM; /* not even the trace could be laid */
}
