"""MR physics: from tissue to the numbers a scanner stores."""
