"""Accuracy of every exported file beside full-precision PyTorch, question by question and layer by layer."""
