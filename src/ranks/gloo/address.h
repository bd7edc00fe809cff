#pragma once

#include <string>

namespace karat {

/// The address of this machine, in numbers, from which it reaches `host`: the one that other ranks
/// of the same network find it at. Throws Error when there is no such host or no way to it.
std::string address_towards(const std::string& host, int port);

/// Whether somebody takes connections there, or comes to do so within these seconds. c10d would
/// print a line for each try that fails.
bool answers(const std::string& host, int port, double seconds);

}  // namespace karat
