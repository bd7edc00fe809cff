// One model, going through groups of items.
#pragma once

#include <cstdint>

#include "karat/task.h"
#include "task/journal.h"
#include "task/work.h"

namespace karat {

class Runner {
 public:
  /// `number`: the model's in the journal. The meter counts weights of items.
  Runner(const LanguageModel& model, int number, Journal& journal, Progress& meter)
      : model_(model), number_(number), journal_(journal), meter_(meter) {}

  /// Items that the journal has are not run again.
  void run(const ItemGroup& group, const Tokenizer& tokenizer);
  const TaskSpeed& speed() const { return speed_; }  // without the ceiling

  static std::int64_t weight(const Item& item);

 private:
  void score(const ItemGroup& group);
  void score_pack(const ItemGroup& group, std::span<const Item> part, PackScorer& scorer);
  void write(const ItemGroup& group, const Tokenizer& tokenizer);
  void look(const ItemGroup& group, const Item& item);
  bool done(const ItemGroup& group, const Item& item) const;

  const LanguageModel& model_;
  int number_;
  Journal& journal_;
  Progress& meter_;
  TaskSpeed speed_;
};

/// tokens/s of a prompt of 256 tokens, or of the context if that is shorter: the best
/// of three, or of as many as half a second holds.
double prefill_ceiling(const LanguageModel& model);

}  // namespace karat
