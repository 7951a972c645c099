"""The chapters of a report, in reading order: each module turns one part of a run into blocks."""
