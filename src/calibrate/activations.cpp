#include "calibrate/activations.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "core/file.h"
#include "core/temporary.h"
#include "karat/error.h"

namespace karat {
namespace {

/// Takes the room beforehand: a mapped page that the disk cannot hold would end the process.
void reserve_file(const std::filesystem::path& path, std::int64_t bytes) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  const int error = file < 0 ? errno : ::posix_fallocate(file, 0, bytes);
  if (file >= 0) ::close(file);
  if (error != 0)
    fail("calibration activations", fmt::format("no room for {} bytes in {}", bytes, path.string()),
         "a writable disk that holds them", std::string(write_hint(error)));
}

}  // namespace

HiddenStates states_on_disk(const std::filesystem::path& folder, std::int64_t sequences,
                            std::int64_t time, std::int64_t hidden) {
  const TemporaryFolder temporary(folder);
  const std::filesystem::path path = temporary.path / "activations";
  const std::int64_t count = sequences * time * hidden;
  reserve_file(path, count * static_cast<std::int64_t>(sizeof(float)));
  const torch::Tensor all =
      torch::from_file(path.string(), /*shared=*/true, count, torch::dtype(torch::kFloat32))
          .view({sequences, time, hidden});
  return all.split(1, 0);
}

}  // namespace karat
