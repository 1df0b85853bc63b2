"""The tables of the AI record, as cajanegra has them."""

from cajanegra.models import AIErrorAnalysis, AIErrorRecovery, AIRequestLog, Base, compare_type, include_name

__all__ = ["AIErrorAnalysis", "AIErrorRecovery", "AIRequestLog", "Base", "compare_type", "include_name"]
