#include "task/work.h"

#include <nlohmann/json.hpp>

#include "karat/error.h"

namespace karat {
namespace {

std::vector<Document> documents_of(const TaskDefinition& task, const std::vector<Row>& rows,
                                   const SkipFn& skip) {
  std::vector<Document> documents;
  const TaskForm* form = nullptr;
  for (const Row& row : rows)
    unless_bad(skip, [&] {
      if (!form) form = &form_for(task, row);  // the rows of a file are of one form
      documents.push_back(read_document(task, *form, row));
    });
  return documents;
}

std::string with_group(const std::string& pattern, const std::string& group) {
  std::string name = pattern;
  const std::size_t star = name.find('*');
  return star == name.npos ? name : name.replace(star, 1, group);
}

DocumentGroup read_group(const TaskDefinition& task, const TaskOptions& options, DataFile file,
                         const SkipFn& skip) {
  DocumentGroup group{.task = &task, .file = std::move(file)};
  group.shots = options.shots.value_or(task.shots);
  if (group.shots < 0) fail("shots", std::to_string(group.shots), "0 or more");
  const SkipFn count = !skip ? SkipFn() : [&](const std::string& problem) {
    ++group.skipped;
    skip(problem);
  };
  const bool own_examples = group.shots > 0 && task.shots_file.empty();
  // The examples are chosen among all rows, whatever the limit.
  std::vector<Row> rows = read_rows(group.file.path, own_examples ? 0 : options.limit, count);
  if (own_examples) group.examples = documents_of(task, rows, [](const std::string&) {});
  while (options.limit > 0 && !rows.empty() && rows.back().index >= options.limit) rows.pop_back();
  group.documents = documents_of(task, rows, count);
  if (group.shots > 0 && !own_examples) {
    const std::string name = with_group(task.shots_file, group.file.group);
    const std::filesystem::path path = find_data(options.data, name).front().path;
    group.examples = documents_of(task, read_rows(path, 0, {}), {});
  }
  if (group.documents.empty() && group.skipped == 0)
    fail("read " + group.file.path.string(), "no row", "at least one");
  return group;
}

std::string describe(const TaskDefinition& task, const std::string& group) {
  if (task.description.empty()) return {};
  return task.description.front().render({{"group", group}}, "description of " + task.name);
}

}  // namespace

std::vector<DocumentGroup> read_documents(const TaskDefinition& task, const TaskOptions& options,
                                          const SkipFn& skip) {
  if (options.limit < 0) fail("limit", std::to_string(options.limit), "a count", "0 takes all");
  std::vector<DocumentGroup> groups;
  for (DataFile& file : find_data(options.data, task.file))
    groups.push_back(read_group(task, options, std::move(file), skip));
  return groups;
}

ItemGroup encode(const DocumentGroup& from, const Encoder& encoder, const TaskOptions& options,
                 const SkipFn& skip) {
  const TaskDefinition& task = *from.task;
  ItemGroup group{.task = &task,
                  .group = from.file.group,
                  .shots = from.shots,
                  .items = {},
                  .skipped = from.skipped};
  const Examples examples(task, from.examples, from.shots, options.seed);
  const std::string description = describe(task, from.file.group);
  for (const Document& document : from.documents) {
    const bool good = unless_bad(skip, [&] {
      Item item{.document = document};
      const std::string prefix = description + examples.before(document);
      const Question question = ask(task, document, prefix);
      if (task.kind == TaskKind::generation)
        item.prompt = encoder.prompt(question.requests.front().context, task.generation.most_tokens,
                                     document.where);
      else
        for (const Question::Request& request : question.requests)
          item.sequences.push_back(encoder.encode(request, document.where));
      item.lengths = question.lengths;
      group.items.push_back(std::move(item));
    });
    group.skipped += !good;
  }
  return group;
}

}  // namespace karat
