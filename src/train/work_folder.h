// Where an unfinished training run keeps its checkpoint and tokens, and what it will write.
#pragma once

#include <filesystem>

#include "core/output.h"
#include "karat/train.h"

namespace karat {

inline constexpr const char* kCheckpointName = "checkpoint.safetensors";

/// Where the trained model goes. Only a folder that train() wrote may be replaced.
Output output_of(const TrainOptions& options);

/// Only what is ours in the folder is ever removed. Unless keep() was called, the destructor does
/// so if the folder was created here.
class WorkFolder {
 public:
  /// Throws Error when the output cannot be written, when the folder holds a checkpoint that would
  /// be lost (neither `resume` nor `replace`), none to resume, or a file of somebody else under our
  /// names; a folder beside the output holds nothing else either.
  explicit WorkFolder(const TrainOptions& options);
  ~WorkFolder();
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  void keep() { remove_ = false; }  // it now holds something worth resuming
  void finish();                    // the run is complete; a default folder goes

 private:
  void check() const;
  void clear() const;
  std::filesystem::path path_;
  bool own_;     // lies beside the output under our name
  bool remove_;  // created here, and nothing in it worth keeping yet
};

}  // namespace karat
