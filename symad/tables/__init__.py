"""Tables and documents: aligned text, Markdown, HTML, LaTeX; and traces."""
