// Where an unfinished training run keeps its checkpoint and tokens.
#pragma once

#include <filesystem>

#include "karat/train.h"

namespace karat {

inline constexpr const char* kCheckpointName = "checkpoint.safetensors";

/// Unless keep() was called, the destructor removes the folder if it was created here.
class WorkFolder {
 public:
  /// Throws Error when the output exists without `replace`, or when the folder holds a checkpoint
  /// that would be lost (neither `resume` nor `replace`), or holds none to resume.
  explicit WorkFolder(const TrainOptions& options);
  ~WorkFolder();
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  void keep() { remove_ = false; }  // it now holds something worth resuming
  void finish();                    // the run is complete; a default folder goes

 private:
  std::filesystem::path path_;
  bool own_;     // lies beside the output under our name
  bool remove_;  // created here, and nothing in it worth keeping yet
};

}  // namespace karat
