// The sections of a report, in their order. One without data is empty.
#pragma once

#include <string>

#include "report/data.h"

namespace karat::report {

std::string portrait_section(const ReportData& data);
std::string quality_section(const ReportData& data);
std::string layers_section(const ReportData& data);
std::string sensitivity_section(const ReportData& data);
std::string tasks_section(const ReportData& data);
std::string provenance_section(const ReportData& data);

}  // namespace karat::report
