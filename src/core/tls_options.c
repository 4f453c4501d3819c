/* tls_options.c - what the options of connections and servers say about TLS. */
#include "core/transport_tls.h"

int tls_check_settings(const struct tls_settings *settings)
{
    double one = settings->handshake_timeout, other = settings->shutdown_timeout;

    return one >= 0 && other >= 0 ? 0 : -EINVAL; /* nor a NaN */
}

/* Options of TLS where there is none are a mistake that nobody may overlook. */
static int check(const struct tls_settings *settings)
{
    bool any = settings->name != NULL || settings->handshake_timeout != 0 ||
               settings->shutdown_timeout != 0;

    if (settings->context == NULL)
        return any ? -EINVAL : 0;
    return tls_check_settings(settings);
}

static void from_connection(struct tls_settings *settings,
                            const asyncio_connection_options *options)
{
    *settings = (struct tls_settings){
        .context = options->tls,
        .name = options->server_hostname,
        .handshake_timeout = options->tls_handshake_timeout,
        .shutdown_timeout = options->tls_shutdown_timeout,
    };
}

int tls_settings_of_connection(struct tls_settings *settings, const char *host,
                               const asyncio_connection_options *options)
{
    from_connection(settings, options);
    int r = check(settings);
    if (r < 0 || settings->context == NULL)
        return r;
    if (settings->name == NULL)
        settings->name = host;
    return settings->name != NULL ? 0 : -EINVAL;
}

int tls_settings_of_accepted(struct tls_settings *settings,
                             const asyncio_connection_options *options)
{
    from_connection(settings, options);
    settings->server_side = true;
    return settings->name != NULL ? -EINVAL : check(settings);
}

int tls_settings_of_server(struct tls_settings *settings, const asyncio_server_options *options)
{
    *settings = (struct tls_settings){
        .context = options->tls,
        .handshake_timeout = options->tls_handshake_timeout,
        .shutdown_timeout = options->tls_shutdown_timeout,
        .server_side = true,
    };
    return check(settings);
}
