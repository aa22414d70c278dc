"""How symad's layouts compare with those of Graphviz: crossings that are seen, area, time."""
