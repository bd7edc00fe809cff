#include "task/document.h"

#include <algorithm>
#include <charconv>

#include "karat/error.h"
#include "task/text.h"

namespace karat {
namespace {

using Texts = std::vector<std::string>;

bool has(const TaskForm& form, const Row& row, std::string& missing) {
  for (const auto& [part, templates] : form)
    for (const Template& one : templates)
      for (const std::string& field : one.fields())
        if (!row.fields.contains(field)) missing = field;
  return missing.empty();
}

Texts render(const TaskForm& form, const char* part, const Row& row) {
  const auto& templates = form.at(part);
  if (templates.size() == 1) return templates.front().render_each(row.fields, row.where);
  Texts texts;
  for (const Template& one : templates) texts.push_back(one.render(row.fields, row.where));
  return texts;
}

std::string render_one(const TaskForm& form, const char* part, const Row& row) {
  Texts texts = render(form, part, row);
  if (texts.size() != 1) fail(row.where, std::to_string(texts.size()) + " texts as " + part, "one");
  return std::move(texts.front());
}

/// At least two non-empty texts.
Texts render_several(const TaskForm& form, const char* part, const Row& row) {
  Texts texts = render(form, part, row);
  if (texts.size() < 2) fail(row.where, std::to_string(texts.size()) + " " + part, "at least two");
  for (const std::string& text : texts)
    if (text.empty()) fail(row.where, "an empty text among the " + std::string(part), "text");
  return texts;
}

std::int64_t read_gold(const TaskForm& form, const Row& row, std::size_t count) {
  const std::string text = render_one(form, "gold", row);
  std::int64_t gold = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), gold);
  if (error != std::errc() || end != text.data() + text.size() || gold < 0 ||
      gold >= static_cast<std::int64_t>(count))
    fail(row.where, "\"" + text + "\" as the right answer", "0 to " + std::to_string(count - 1));
  return gold;
}

std::vector<double> numbers(const TaskForm& form, const char* part, const Row& row,
                            std::size_t count) {
  std::vector<double> values;
  for (const std::string& text : render(form, part, row)) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size())
      fail(row.where, "\"" + text + "\" in " + part, "a number");
    values.push_back(value);
  }
  if (values.size() != count)
    fail(row.where, std::to_string(values.size()) + " numbers as " + part, std::to_string(count));
  return values;
}

void read_boxes(const TaskDefinition& task, const TaskForm& form, const Row& row, Document& out) {
  out.answers = {render_one(form, "response", row)};
  out.box = numbers(form, "box", row, 4);
  out.size = numbers(form, "size", row, 2);
  if (task.boxes.xywh) {
    out.box[2] += out.box[0];
    out.box[3] += out.box[1];
  }
  if (!(out.box[0] < out.box[2] && out.box[1] < out.box[3]))
    fail(row.where, "a true box without area", "left < right and top < bottom");
  if (!(out.size[0] > 0 && out.size[1] > 0)) fail(row.where, "a picture without area", "a size");
}

}  // namespace

const TaskForm& form_for(const TaskDefinition& task, const Row& row) {
  std::string expected;
  for (const TaskForm& form : task.forms) {
    std::string missing;
    if (has(form, row, missing)) return form;
    expected += (expected.empty() ? "\"" : ", or \"") + missing + "\"";
  }
  fail(row.where, "a row of another form", "the field " + expected,
       "docs/tasks.md says which fields the task " + task.name + " reads");
}

Document read_document(const TaskDefinition& task, const TaskForm& form, const Row& row) {
  Document document{.row = row.index, .where = row.where, .fields = row.fields};
  switch (task.kind) {
    case TaskKind::choices:
      document.contexts = {render_one(form, "context", row)};
      document.answers = render_several(form, "choices", row);
      document.gold = read_gold(form, row, document.answers.size());
      break;
    case TaskKind::contexts:
      document.contexts = render_several(form, "contexts", row);
      document.answers = {render_one(form, "target", row)};
      document.gold = read_gold(form, row, document.contexts.size());
      break;
    case TaskKind::continuation:
    case TaskKind::generation:
      document.contexts = {render_one(form, "context", row)};
      document.answers = {render_one(form, "target", row)};
      break;
    case TaskKind::boxes:
      read_boxes(task, form, row, document);
  }
  if (document.answers.front().empty()) fail(row.where, "an empty answer", "text");
  return document;
}

std::string solved(const TaskDefinition& task, const Document& document) {
  const auto gold = static_cast<std::size_t>(document.gold);
  const bool by_context = task.kind == TaskKind::contexts;
  return document.contexts[by_context ? gold : 0] + task.delimiter +
         document.answers[by_context ? 0 : gold] + "\n\n";
}

Examples::Examples(const TaskDefinition& task, std::vector<Document> pool, std::int64_t shots,
                   std::uint64_t seed)
    : task_(task), pool_(std::move(pool)), shots_(shots), seed_(seed) {}

std::vector<std::size_t> Examples::chosen(const Document& question) const {
  std::vector<std::size_t> others;
  for (std::size_t i = 0; i < pool_.size(); ++i)
    if (pool_[i].fields != question.fields) others.push_back(i);
  const auto wanted = static_cast<std::size_t>(shots_);
  if (others.size() < wanted)
    fail(question.where, std::to_string(others.size()) + " examples to choose from",
         std::to_string(shots_), "ask for fewer with --shots");
  // A generator of its own for each question: what is drawn does not depend on the others.
  Rng mix(seed_);
  Rng rng(mix.next() ^ static_cast<std::uint64_t>(question.row));
  for (std::size_t i = 0; !task_.shots_first && i < wanted; ++i)
    std::swap(others[i], others[i + rng.below(others.size() - i)]);
  others.resize(wanted);
  return others;
}

std::string Examples::before(const Document& question) const {
  std::string text;
  if (shots_ == 0) return text;
  for (const std::size_t i : chosen(question)) text += solved(task_, pool_[i]);
  return text;
}

Question ask(const TaskDefinition& task, const Document& document, const std::string& prefix) {
  Question question;
  // A continuation task's target brings its own blank (lm-evaluation-harness: loglikelihood).
  const std::string delimiter = task.kind == TaskKind::continuation ? "" : task.delimiter;
  if (task.kind == TaskKind::boxes) return question;
  for (const std::string& context : document.contexts)
    for (const std::string& answer : document.answers)
      question.requests.push_back({prefix + context, delimiter + answer});
  const Texts& choices = task.kind == TaskKind::contexts ? document.contexts : document.answers;
  for (const std::string& choice : choices) question.lengths.push_back(code_points(choice));
  return question;
}

}  // namespace karat
