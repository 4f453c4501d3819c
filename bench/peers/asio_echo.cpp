// asio_echo.cpp - echo.c for Boost.Asio: completion handlers, or with `asio_echo coroutine` its C++20
// coroutines.
#include <utility>

#include <boost/asio.hpp>
#include <cstdio>
#include <cstring>
#include <memory>

namespace asio = boost::asio;
using asio::ip::tcp;

static asio::io_context context(1);
static int clients;

static void left()
{
    if (--clients == 0)
        context.stop();
}

class session : public std::enable_shared_from_this<session> {
public:
    explicit session(tcp::socket socket) : socket_(std::move(socket)) {}
    ~session() { left(); }

    void receive()
    {
        auto self = shared_from_this();
        socket_.async_read_some(asio::buffer(data_), [self](auto error, std::size_t n) {
            if (!error)
                self->send(n);
        });
    }

private:
    void send(std::size_t size)
    {
        auto self = shared_from_this();
        asio::async_write(socket_, asio::buffer(data_, size), [self](auto error, std::size_t) {
            if (!error)
                self->receive();
        });
    }

    tcp::socket socket_;
    char data_[64 * 1024];
};

static void accept_more(tcp::acceptor &acceptor)
{
    acceptor.async_accept([&acceptor](auto error, tcp::socket socket) {
        if (!error) {
            clients++;
            socket.set_option(tcp::no_delay(true));
            std::make_shared<session>(std::move(socket))->receive();
        }
        accept_more(acceptor);
    });
}

static asio::awaitable<void> serve(tcp::socket socket)
{
    char data[64 * 1024];

    try {
        for (;;) {
            std::size_t n =
                co_await socket.async_read_some(asio::buffer(data), asio::use_awaitable);
            co_await asio::async_write(socket, asio::buffer(data, n), asio::use_awaitable);
        }
    } catch (const std::exception &) {
    }
    left();
}

static asio::awaitable<void> accept_all(tcp::acceptor &acceptor)
{
    for (;;) {
        tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
        clients++;
        socket.set_option(tcp::no_delay(true));
        asio::co_spawn(context, serve(std::move(socket)), asio::detached);
    }
}

int main(int argc, char **argv)
{
    tcp::acceptor acceptor(context, tcp::endpoint(asio::ip::address_v4::loopback(), 0));

    std::printf("port %u\n", acceptor.local_endpoint().port());
    std::fflush(stdout);
    if (argc > 1 && std::strcmp(argv[1], "coroutine") == 0)
        asio::co_spawn(context, accept_all(acceptor), asio::detached);
    else
        accept_more(acceptor);
    context.run();
}
