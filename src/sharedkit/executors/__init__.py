"""Executors: their public interface and futures, and, in `processes`, the workers of one machine."""
