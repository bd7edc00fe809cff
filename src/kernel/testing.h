// What the tests of kernels share: this program run again.
#pragma once

#include <doctest/doctest.h>

#include <cstdio>
#include <filesystem>
#include <string>

namespace karat::testing {

/// What this test program prints when it runs one of its cases with NAME=value in the environment.
inline std::string output_with(const std::string& setting, const std::string& test_case) {
  const auto self = std::filesystem::read_symlink("/proc/self/exe");
  const std::string command = setting + " '" + self.string() + "' -s -tc='" + test_case + "'";
  std::FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string text;
  char buffer[4096];
  while (const std::size_t n = std::fread(buffer, 1, sizeof buffer, pipe)) text.append(buffer, n);
  CHECK(pclose(pipe) == 0);
  return text;
}

}  // namespace karat::testing
