// Ranks as threads of one process: each has connections of its own, as processes have.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "karat/error.h"
#include "karat/ranks.h"

namespace karat {

/// Where nobody listens on this machine.
inline int free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  auto* plain = reinterpret_cast<sockaddr*>(&address);
  const bool bound =
      ::bind(socket, plain, length) == 0 && ::getsockname(socket, plain, &length) == 0;
  ::close(socket);
  if (!bound) throw Error("no free port");
  return ntohs(address.sin_port);
}

/// Runs `body` on so many ranks; what each threw, empty where it threw nothing.
inline std::vector<std::string> on_ranks(int size, const std::function<void(Ranks&)>& body,
                                         double silence = 10) {
  const int port = free_port();
  std::vector<std::string> errors(static_cast<std::size_t>(size));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      try {
        Ranks ranks({.rank = rank,
                     .size = size,
                     .port = port,
                     .join_seconds = 60,
                     .silence_seconds = silence});
        ranks.share([&] { body(ranks); });
      } catch (const std::exception& error) {
        errors[static_cast<std::size_t>(rank)] = error.what();
      }
    });
  for (std::thread& thread : threads) thread.join();
  return errors;
}

}  // namespace karat
