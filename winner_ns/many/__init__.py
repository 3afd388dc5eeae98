"""Many signals: a store of fields, filled by as many processes as there are cores, on one machine or several."""
