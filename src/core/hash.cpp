#include "core/hash.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>

#include "core/file.h"
#include "karat/error.h"

namespace karat {

std::string sha256(std::span<const std::byte> bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1)
    fail("sha256", "a failing libcrypto", "a digest");
  std::string text;
  for (unsigned int i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

std::string sha256_file(const std::filesystem::path& path) {
  const auto file = MappedFile::open(path);
  std::string hash = sha256(file->bytes());
  file->check();
  return hash;
}

}  // namespace karat
