#include "ranks/gloo/address.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <thread>

#include "karat/error.h"

namespace karat {
namespace {

/// Of one of the addresses of a host; closed with it.
class Socket {
 public:
  Socket(const addrinfo& to, int type)
      : socket_(::socket(to.ai_family, type | SOCK_CLOEXEC, 0)),
        connected_(socket_ >= 0 && ::connect(socket_, to.ai_addr, to.ai_addrlen) == 0) {}
  ~Socket() {
    if (socket_ >= 0) ::close(socket_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  bool connected() const { return connected_; }
  /// The address of its end here; empty where it has none.
  std::string own_end() const {
    sockaddr_storage own = {};
    socklen_t length = sizeof(own);
    std::array<char, NI_MAXHOST> name = {};
    auto* address = reinterpret_cast<sockaddr*>(&own);
    if (!connected_ || ::getsockname(socket_, address, &length) != 0 ||
        ::getnameinfo(address, length, name.data(), name.size(), nullptr, 0, NI_NUMERICHOST) != 0)
      return "";
    return name.data();
  }

 private:
  int socket_;
  bool connected_;
};

using Addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

Addresses addresses_of(const std::string& host, int port) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
      error != 0)
    fail("ranks", "host " + host + ": " + ::gai_strerror(error), "the machine of rank 0",
         "MASTER_ADDR names it");
  return {found, &::freeaddrinfo};
}

}  // namespace

std::string address_towards(const std::string& host, int port) {
  const Addresses found = addresses_of(host, port);
  for (const addrinfo* one = found.get(); one != nullptr; one = one->ai_next) {
    const Socket without_handshake(*one, SOCK_DGRAM);  // so nothing is sent
    if (std::string own = without_handshake.own_end(); !own.empty()) return own;
  }
  fail("ranks", "no way to host " + host + ": " + std::strerror(errno), "a network that reaches it",
       "MASTER_ADDR names the machine of rank 0");
}

bool answers(const std::string& host, int port, double seconds) {
  const Addresses found = addresses_of(host, port);
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  do {
    for (const addrinfo* one = found.get(); one != nullptr; one = one->ai_next)
      if (Socket(*one, SOCK_STREAM).connected()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

}  // namespace karat
