#include "karat/report.h"

#include "core/output.h"
#include "report/html.h"
#include "report/sections.h"

namespace karat {

std::string report_html(std::span<const std::filesystem::path> folders) {
  using namespace report;
  const ReportData data = gather_report(folders);
  std::string title = "Karat report";
  for (std::size_t i = 0; i < data.models.size() && i < 3; ++i)
    title += (i == 0 ? ": " : ", ") + data.models[i].name;
  if (data.models.size() > 3) title += " and others";
  return page(title, portrait_section(data) + quality_section(data) + tasks_section(data) +
                         layers_section(data) + sensitivity_section(data) +
                         provenance_section(data));
}

void write_report(std::span<const std::filesystem::path> folders, const std::filesystem::path& out,
                  bool replace) {
  const Output output{.path = out,
                      .replace = replace,
                      .inputs = {folders.begin(), folders.end()},
                      .not_former = report::not_a_page};
  check_output(output, OutputKind::file);
  write_output(output, report_html(folders));
}

}  // namespace karat
