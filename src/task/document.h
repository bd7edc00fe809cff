// Rows of data become questions, and questions prompts.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/rng.h"
#include "task/definition.h"
#include "task/rows.h"

namespace karat {

/// A row through a form's templates. One of contexts and answers has several entries at most.
struct Document {
  std::vector<std::string> contexts = {}, answers = {};
  std::int64_t gold = 0;          // index of the right one of them
  std::vector<double> box = {};   // kind boxes: four numbers, in pixels
  std::vector<double> size = {};  // kind boxes: width and height of the picture
  std::int64_t row = 0;
  std::string where;
  nlohmann::json fields;  // of the row: equal ones are the same question
};

/// The form of the task that has all its fields in `row`. Throws Error that lists what is missing.
const TaskForm& form_for(const TaskDefinition& task, const Row& row);
/// Throws Error naming the row when a field is missing, choices are empty, or gold is none of them.
Document read_document(const TaskDefinition& task, const TaskForm& form, const Row& row);

/// A solved question, as an example before another.
std::string solved(const TaskDefinition& task, const Document& document);

/// Examples to choose from: `shots` of them go before each question.
class Examples {
 public:
  Examples(const TaskDefinition& task, std::vector<Document> pool, std::int64_t shots,
           std::uint64_t seed);
  /// The examples before `question`, one after the other. It is never among them. Throws Error when
  /// there are too few.
  std::string before(const Document& question) const;

 private:
  std::vector<std::size_t> chosen(const Document& question) const;
  const TaskDefinition& task_;
  std::vector<Document> pool_;
  std::int64_t shots_;
  std::uint64_t seed_;
};

/// What a model is asked: log-likelihoods of continuations after contexts, or (boxes, generation)
/// nothing but its text.
struct Question {
  struct Request {
    std::string context, continuation;
  };
  std::vector<Request> requests;
  std::vector<std::int64_t> lengths;  // code points of each choice, without the delimiter
};
/// `prefix`: description and examples.
Question ask(const TaskDefinition& task, const Document& document, const std::string& prefix);

}  // namespace karat
