// The questions of a command, read and encoded, before any model runs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "karat/task.h"
#include "task/document.h"
#include "task/requests.h"

namespace karat {

/// A question and the tokens that a model is to read for it.
struct Item {
  Document document;
  std::vector<Sequence> sequences = {};    // of its requests; none: generation, boxes
  std::vector<std::int64_t> lengths = {};  // code points of each choice
  std::vector<TokenId> prompt = {};        // generation
};
/// The items of one data file.
struct ItemGroup {
  const TaskDefinition* task = nullptr;
  std::string group;
  std::int64_t shots = 0;
  std::vector<Item> items;
  std::int64_t skipped = 0;
};

/// A task's data file and the documents in it.
struct DocumentGroup {
  const TaskDefinition* task = nullptr;
  DataFile file;
  std::int64_t shots = 0;
  std::vector<Document> documents = {};
  std::vector<Document> examples = {};  // to choose shots from
  std::int64_t skipped = 0;
};

/// Reads the data of `task`. Rows left out are told to `skip`.
std::vector<DocumentGroup> read_documents(const TaskDefinition& task, const TaskOptions& options,
                                          const SkipFn& skip);
/// Encodes them for a model.
ItemGroup encode(const DocumentGroup& documents, const Encoder& encoder, const TaskOptions& options,
                 const SkipFn& skip);

}  // namespace karat
